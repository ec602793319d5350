use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::Outcome;

/// A setting that may be given on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `crate.field`, for instance `wal.durability`.
    pub name: &'static str,
    /// What it sets, and how its values are written.
    pub says: &'static str,
}

/// Settings given as `key=value`. Each workload takes those that it knows; what it did not look at is reported, so
/// that nobody believes a setting was tried that was not.
#[derive(Debug, Default)]
pub struct Settings {
    given: BTreeMap<String, String>,
    used: Mutex<BTreeSet<String>>,
}

impl Settings {
    /// Takes `key=value` pairs.
    ///
    /// # Errors
    /// A pair without `=`, or a key that is not among `known`: the message lists those that are.
    pub fn parse(pairs: &[String], known: &[Key]) -> Outcome<Self> {
        let mut given = BTreeMap::new();
        for pair in pairs {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(format!("--set {pair}: write it as key=value").into());
            };
            let (key, value) = (key.trim(), value.trim());
            if !known.iter().any(|one| one.name == key) {
                let names: Vec<_> =
                    known.iter().map(|key| format!("  {:<24} {}", key.name, key.says)).collect();
                return Err(format!("--set {key}: no such setting. There are:\n{}", names.join("\n")).into());
            }
            given.insert(key.to_owned(), value.to_owned());
        }
        Ok(Settings { given, used: Mutex::default() })
    }

    /// The text given for `key`.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        let value = self.given.get(key)?;
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        Some(value)
    }

    /// The number, or whatever else parses, given for `key`; `default` when nothing was given.
    ///
    /// # Errors
    /// The value does not parse.
    pub fn get<T: std::str::FromStr<Err: std::fmt::Display>>(&self, key: &str, default: T) -> Outcome<T> {
        match self.text(key) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|error| format!("--set {key}={text}: {error}").into()),
        }
    }

    /// A number of things, from 1 to a million: what a workload takes room for.
    ///
    /// # Errors
    /// The value is no such number.
    pub fn count<T>(&self, key: &str, default: T) -> Outcome<T>
    where
        T: Copy + TryInto<u64> + std::str::FromStr<Err: std::fmt::Display> + std::fmt::Display,
    {
        let count = self.get(key, default)?;
        match count.try_into() {
            Ok(1..=1_000_000) => Ok(count),
            _ => Err(format!("--set {key}={count}: from 1 to 1000000").into()),
        }
    }

    /// A size such as `64MiB`, `256KiB` or `4096`.
    ///
    /// # Errors
    /// The value is no size.
    pub fn bytes(&self, key: &str, default: u64) -> Outcome<u64> {
        match self.text(key) {
            None => Ok(default),
            Some(text) => {
                parse_bytes(text).ok_or_else(|| format!("--set {key}={text}: write 64KiB or 4096").into())
            }
        }
    }

    /// A duration such as `10ms`, `1.5s` or `200us`.
    ///
    /// # Errors
    /// The value is no duration.
    pub fn duration(&self, key: &str, default: Duration) -> Outcome<Duration> {
        match self.text(key) {
            None => Ok(default),
            Some(text) => {
                parse_duration(text).ok_or_else(|| format!("--set {key}={text}: write 10ms or 1.5s").into())
            }
        }
    }

    /// The keys that were given and never looked at.
    #[must_use]
    pub fn unused(&self) -> Vec<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.given.keys().filter(|key| !used.contains(*key)).cloned().collect()
    }
}

/// A size with a binary unit, or a plain number of bytes.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

/// A duration with a unit: `us`, `ms`, `s`, `m`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == 'µ');
    let factor = match &text[digits.len()..] {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    let seconds = digits.trim().parse::<f64>().ok()? * factor;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Key] = &[Key { name: "wal.size", says: "bytes" }, Key { name: "sink.age", says: "time" }];

    #[test]
    fn what_was_not_looked_at_is_told() -> Outcome<()> {
        let pairs = ["wal.size=64KiB".to_owned(), "sink.age=1.5ms".to_owned()];
        let settings = Settings::parse(&pairs, KNOWN)?;
        assert_eq!(settings.bytes("wal.size", 1)?, 65_536);
        assert_eq!(settings.unused(), ["sink.age"]);
        assert_eq!(settings.duration("sink.age", Duration::ZERO)?, Duration::from_micros(1500));
        assert!(settings.unused().is_empty());
        Ok(())
    }

    #[test]
    fn unknown_keys_and_values_are_refused() -> Outcome<()> {
        assert!(Settings::parse(&["wal.sise=1".to_owned()], KNOWN).is_err());
        assert!(Settings::parse(&["wal.size".to_owned()], KNOWN).is_err());
        let settings = Settings::parse(&["wal.size=-1".to_owned(), "sink.age=soon".to_owned()], KNOWN)?;
        assert!(settings.bytes("wal.size", 1).is_err());
        assert!(settings.duration("sink.age", Duration::ZERO).is_err());
        assert!(settings.get::<u64>("wal.size", 1).is_err());
        for (text, is_taken) in [("0", false), ("1", true), ("1000000", true), ("1000001", false)] {
            let settings = Settings::parse(&[format!("wal.size={text}")], KNOWN)?;
            assert_eq!(settings.count("wal.size", 1).is_ok(), is_taken, "{text}");
        }
        Ok(())
    }
}
