//! What `--set key=value` changes: every setting of every crate, laid over the crate's own defaults. A workload that
//! needs another value than the default hands its own in (`sink_over`); what was set on the command line wins over both.

use std::time::Duration;

use standpipe_buffer::Policy;
use standpipe_core::{Mode, TableName};
use standpipe_harness::{Key, Outcome, Settings, parse_duration};
use standpipe_sink::{DeadLetters, ErrorLimit};
use standpipe_sqlite::{Journal, Synchronous};
use standpipe_wal::{Compression, Durability};

const fn key(name: &'static str, says: &'static str) -> Key {
    Key { name, says }
}

/// Every setting that `--set` takes. `wal.entropy` and `pool.timer` are code, and stay what they are.
pub const KEYS: &[Key] = &[
    key("wal.durability", "what a ticket promises: group, sync, periodic:DURATION, os"),
    key("wal.group_delay", "how long a group waits for company: a duration"),
    key("wal.compression", "none, lz4, or lz4:SIZE for the least payload that is compressed"),
    key("wal.segment_ahead", "whether the next segment is made before it is needed: true or false"),
    key("wal.segment_bytes", "space reserved for a segment of the log: a size such as 64MiB"),
    key("wal.record_bytes_max", "the largest record: a size"),
    key("wal.size_bytes_max", "space that the log may take: a size"),
    key(
        "wal.idle_proof",
        "how long the log is idle until it proves its end: a duration such as 100ms, or none",
    ),
    key("sink.memory_bytes", "bytes of rows in memory at once: a size"),
    key("sink.batch_rows_max", "rows after which a batch is full: a number"),
    key("sink.batch_bytes_max", "bytes after which a batch is full: a size"),
    key("sink.flush_after", "how long the oldest row of a batch waits: a duration, or never"),
    key("sink.workers", "branches open at once: a number"),
    key("sink.lanes_per_commit", "lanes that may share a commit: a number"),
    key("sink.block_bytes", "the size at which a write is cut into blocks: a size"),
    key("sink.write_timeout", "how long a write may wait for room: a duration, or none"),
    key("sink.retry.pause", "the first pause before a call is tried again: a duration"),
    key("sink.retry.pause_max", "the longest such pause: a duration"),
    key("sink.retry.give_up_after", "when trying again ends: a duration, or never"),
    key("sink.retry.seed", "seeds the jitter of the pauses: a number"),
    key("sink.dead_letters", "the table of the target for rows that cannot be applied: a name"),
    key("sink.errors_max", "how many dead letters stop the sink: none, a number, or a share such as 5%"),
    key("sink.owner", "who holds the claims, for people: a text"),
    key("pool.connections_max", "connections at any time: a number"),
    key("pool.waiters_max", "acquirers that may wait: a number"),
    key("pool.idle_max", "how long a connection may be idle: a duration, or never"),
    key("pool.life_max", "how old a connection may be: a duration, or never"),
    key("pool.check_after_idle", "idle time after which a connection is checked: a duration, or never"),
    key("pool.idle_min", "connections kept idle by who runs the pool: a number"),
    key("pool.acquire_timeout", "how long one waits for a connection: a duration, or never"),
    key("pool.connect_timeout", "how long one connect may take: a duration, or never"),
    key("pool.check_timeout", "how long a check may take: a duration, or never"),
    key("pool.reset_timeout", "how long a reset may take: a duration, or never"),
    key("pool.close_timeout", "how long taking leave may take: a duration, or never"),
    key("pool.life_jitter_percent", "how much of the life is taken off at most: percent"),
    key("pool.backoff_min", "the pause after a failed connect: a duration, or never"),
    key("pool.backoff_max", "the longest pause after a failed connect: a duration, or never"),
    key("pool.lease_warn_after", "lease that is logged with the feature tracing: a duration, or never"),
    key("pool.seed", "where randomness starts: a number"),
    key("sqlite.create", "whether a missing file is made: true, false"),
    key("sqlite.busy_timeout", "how long to wait for another's transaction: a duration"),
    key("sqlite.synchronous", "what is on disk when a commit returns: full, extra, normal"),
    key("sqlite.journal", "the journal of the database file: wal, keep"),
    key("sqlite.ledger_table", "the name of the ledger's table"),
    key("buffer.rows_max", "rows after which a lane is due: a number"),
    key("buffer.bytes_max", "bytes after which a lane is due: a size"),
    key("buffer.age_max", "age of the oldest item after which a lane is due: a duration, or never"),
    key("stream.lanes", "lanes of the stream: a number"),
    key("stream.mode", "what a row does to one with the same key: append, upsert, replace, ignore"),
    key("run.rows", "rows of one round: a number"),
    key("run.batch", "rows of one write, or records of one append: a number"),
    key("run.writers", "writers at once: a number"),
    key("run.readers", "readers beside the writers: a number"),
    key("run.rate", "operations a second of an open loop, over all writers: a number"),
    key("run.tenants", "tenants that the rows are spread over: a number"),
    key("run.record_bytes", "bytes of one record: a size"),
    key("run.flush_every", "how often the sink is flushed: a duration, or never"),
    key("selftest.slowdown", "how much slower the self-test's workload is made, in percent: a number"),
];

/// The log's settings.
///
/// # Errors
/// A value that can't be read.
pub fn wal(settings: &Settings) -> Outcome<standpipe_wal::Settings> {
    wal_over(settings, standpipe_wal::Settings::default())
}

/// The log's settings over a workload's own.
///
/// # Errors
/// A value that can't be read.
pub fn wal_over(settings: &Settings, over: standpipe_wal::Settings) -> Outcome<standpipe_wal::Settings> {
    Ok(standpipe_wal::Settings {
        durability: parsed(settings, "wal.durability", over.durability, durability)?,
        group_delay: settings.duration("wal.group_delay", over.group_delay)?,
        compression: parsed(settings, "wal.compression", over.compression, compression)?,
        segment_bytes: settings.bytes("wal.segment_bytes", over.segment_bytes)?,
        segment_ahead: settings.get("wal.segment_ahead", over.segment_ahead)?,
        record_bytes_max: settings.bytes("wal.record_bytes_max", over.record_bytes_max)?,
        size_bytes_max: settings.bytes("wal.size_bytes_max", over.size_bytes_max)?,
        idle_proof: optional(settings, "wal.idle_proof", over.idle_proof)?,
        entropy: over.entropy,
    })
}

/// The sink's settings.
///
/// # Errors
/// A value that can't be read.
pub fn sink(settings: &Settings) -> Outcome<standpipe_sink::Settings> {
    sink_over(settings, standpipe_sink::Settings::default())
}

/// The sink's settings over a workload's own.
///
/// # Errors
/// A value that can't be read.
pub fn sink_over(settings: &Settings, over: standpipe_sink::Settings) -> Outcome<standpipe_sink::Settings> {
    Ok(standpipe_sink::Settings {
        memory_bytes: settings.bytes("sink.memory_bytes", over.memory_bytes)?,
        batch_rows_max: settings.get("sink.batch_rows_max", over.batch_rows_max)?,
        batch_bytes_max: settings.bytes("sink.batch_bytes_max", over.batch_bytes_max)?,
        flush_after: endless(settings, "sink.flush_after", over.flush_after)?,
        workers: settings.get("sink.workers", over.workers)?,
        lanes_per_commit: settings.get("sink.lanes_per_commit", over.lanes_per_commit)?,
        block_bytes: settings.bytes("sink.block_bytes", over.block_bytes)?,
        write_timeout: optional(settings, "sink.write_timeout", over.write_timeout)?,
        retry: standpipe_sink::Retry {
            pause: settings.duration("sink.retry.pause", over.retry.pause)?,
            pause_max: settings.duration("sink.retry.pause_max", over.retry.pause_max)?,
            give_up_after: optional(settings, "sink.retry.give_up_after", over.retry.give_up_after)?,
            seed: settings.get("sink.retry.seed", over.retry.seed)?,
        },
        dead_letters: match settings.text("sink.dead_letters") {
            Some(table) => DeadLetters::Table(TableName::new(table)),
            None => over.dead_letters,
        },
        errors_max: parsed(settings, "sink.errors_max", over.errors_max, error_limit)?,
        owner: settings.get("sink.owner", over.owner)?,
    })
}

/// The pool's settings.
///
/// # Errors
/// A value that can't be read.
pub fn pool(settings: &Settings) -> Outcome<standpipe_pool::Settings> {
    pool_over(settings, standpipe_pool::Settings::default())
}

/// The pool's settings over a workload's own.
///
/// # Errors
/// A value that can't be read.
pub fn pool_over(settings: &Settings, over: standpipe_pool::Settings) -> Outcome<standpipe_pool::Settings> {
    Ok(standpipe_pool::Settings {
        connections_max: settings.get("pool.connections_max", over.connections_max)?,
        waiters_max: settings.get("pool.waiters_max", over.waiters_max)?,
        idle_max: endless(settings, "pool.idle_max", over.idle_max)?,
        life_max: endless(settings, "pool.life_max", over.life_max)?,
        check_after_idle: endless(settings, "pool.check_after_idle", over.check_after_idle)?,
        idle_min: settings.get("pool.idle_min", over.idle_min)?,
        acquire_timeout: endless(settings, "pool.acquire_timeout", over.acquire_timeout)?,
        connect_timeout: endless(settings, "pool.connect_timeout", over.connect_timeout)?,
        check_timeout: endless(settings, "pool.check_timeout", over.check_timeout)?,
        reset_timeout: endless(settings, "pool.reset_timeout", over.reset_timeout)?,
        close_timeout: endless(settings, "pool.close_timeout", over.close_timeout)?,
        life_jitter_percent: settings.get("pool.life_jitter_percent", over.life_jitter_percent)?,
        backoff_min: endless(settings, "pool.backoff_min", over.backoff_min)?,
        backoff_max: endless(settings, "pool.backoff_max", over.backoff_max)?,
        lease_warn_after: endless(settings, "pool.lease_warn_after", over.lease_warn_after)?,
        seed: match settings.text("pool.seed") {
            Some(_) => Some(settings.get("pool.seed", 0)?),
            None => over.seed,
        },
        timer: over.timer,
    })
}

/// The SQLite target's settings.
///
/// # Errors
/// A value that can't be read.
pub fn sqlite(settings: &Settings) -> Outcome<standpipe_sqlite::Settings> {
    let over = standpipe_sqlite::Settings::default();
    Ok(standpipe_sqlite::Settings {
        create: settings.get("sqlite.create", over.create)?,
        busy_timeout: settings.duration("sqlite.busy_timeout", over.busy_timeout)?,
        synchronous: parsed(settings, "sqlite.synchronous", over.synchronous, synchronous)?,
        journal: parsed(settings, "sqlite.journal", over.journal, journal)?,
        ledger_table: settings.get("sqlite.ledger_table", over.ledger_table)?,
    })
}

/// When a lane of a buffer is due.
///
/// # Errors
/// A value that can't be read.
pub fn policy(settings: &Settings) -> Outcome<Policy> {
    policy_over(settings, Policy::default())
}

/// When a lane of a buffer is due, over a workload's own.
///
/// # Errors
/// A value that can't be read.
pub fn policy_over(settings: &Settings, over: Policy) -> Outcome<Policy> {
    Ok(Policy {
        rows_max: settings.get("buffer.rows_max", over.rows_max)?,
        bytes_max: settings.bytes("buffer.bytes_max", over.bytes_max)?,
        age_max: endless(settings, "buffer.age_max", over.age_max)?,
    })
}

/// The number of lanes: `stream.lanes`.
///
/// # Errors
/// A value that can't be read.
pub fn lanes(settings: &Settings, default: u32) -> Outcome<u32> {
    settings.get("stream.lanes", default)
}

/// What a row does to one with the same key: `stream.mode`.
///
/// # Errors
/// A value that can't be read.
pub fn mode(settings: &Settings, default: Mode) -> Outcome<Mode> {
    parsed(settings, "stream.mode", default, |text| {
        Mode::from_name(text).ok_or("write append, upsert, replace or ignore")
    })
}

/// A duration, or `never`: `Duration::MAX`.
///
/// # Errors
/// A value that can't be read.
pub fn endless(settings: &Settings, key: &str, default: Duration) -> Outcome<Duration> {
    match settings.text(key) {
        Some("never") => Ok(Duration::MAX),
        _ => settings.duration(key, default),
    }
}

fn optional(settings: &Settings, key: &str, default: Option<Duration>) -> Outcome<Option<Duration>> {
    match settings.text(key) {
        None => Ok(default),
        Some("none" | "never") => Ok(None),
        Some(_) => settings.duration(key, Duration::ZERO).map(Some),
    }
}

fn parsed<T>(
    settings: &Settings,
    key: &str,
    default: T,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Outcome<T> {
    match settings.text(key) {
        None => Ok(default),
        Some(text) => read(text).map_err(|how| format!("--set {key}={text}: {how}").into()),
    }
}

fn compression(text: &str) -> Result<Compression, &'static str> {
    let wanted = "none, lz4 or lz4:SIZE";
    match text.split_once(':') {
        None if text == "none" => Ok(Compression::None),
        None if text == "lz4" => Ok(Compression::lz4()),
        Some(("lz4", size)) => {
            let bytes = standpipe_harness::parse_bytes(size).and_then(|bytes| usize::try_from(bytes).ok());
            bytes.map(|payload_bytes_min| Compression::Lz4 { payload_bytes_min }).ok_or(wanted)
        }
        _ => Err(wanted),
    }
}

fn durability(text: &str) -> Result<Durability, &'static str> {
    match text {
        "group" => Ok(Durability::Group),
        "sync" => Ok(Durability::Sync),
        "os" => Ok(Durability::Os),
        _ => text
            .strip_prefix("periodic:")
            .and_then(parse_duration)
            .map(Durability::Periodic)
            .ok_or("write group, sync, periodic:10ms or os"),
    }
}

fn error_limit(text: &str) -> Result<ErrorLimit, &'static str> {
    let how = "write none, 100 or 5%";
    match text.strip_suffix('%') {
        Some(share) => share.parse().map(ErrorLimit::Percent).map_err(|_| how),
        None if text == "none" => Ok(ErrorLimit::None),
        None => text.parse().map(ErrorLimit::Rows).map_err(|_| how),
    }
}

fn synchronous(text: &str) -> Result<Synchronous, &'static str> {
    match text {
        "full" => Ok(Synchronous::Full),
        "extra" => Ok(Synchronous::Extra),
        "normal" => Ok(Synchronous::Normal),
        _ => Err("write full, extra or normal"),
    }
}

fn journal(text: &str) -> Result<Journal, &'static str> {
    match text {
        "wal" => Ok(Journal::Wal),
        "keep" => Ok(Journal::Keep),
        _ => Err("write wal or keep"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[&str]) -> Outcome<Settings> {
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        Settings::parse(&pairs, KEYS)
    }

    #[test]
    fn nothing_given_is_the_crates_own_defaults() -> Outcome<()> {
        let none = given(&[])?;
        let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
        assert_eq!(text(&wal(&none)?), text(&standpipe_wal::Settings::default()));
        assert_eq!(text(&sink(&none)?), text(&standpipe_sink::Settings::default()));
        assert_eq!(text(&pool(&none)?), text(&standpipe_pool::Settings::default()));
        assert_eq!(sqlite(&none)?, standpipe_sqlite::Settings::default());
        assert_eq!(policy(&none)?, Policy::default());
        Ok(())
    }

    /// A value for each key that is not a default, and is not like another's.
    const OTHER: &[&str] = &[
        "wal.durability=periodic:7ms",
        "wal.group_delay=7ms",
        "wal.compression=lz4:7KiB",
        "wal.segment_bytes=7MiB",
        "wal.segment_ahead=false",
        "wal.record_bytes_max=70KiB",
        "wal.size_bytes_max=700MiB",
        "wal.idle_proof=none",
        "sink.memory_bytes=7MiB",
        "sink.batch_rows_max=77",
        "sink.batch_bytes_max=7KiB",
        "sink.flush_after=never",
        "sink.workers=7",
        "sink.lanes_per_commit=8",
        "sink.block_bytes=9KiB",
        "sink.write_timeout=7s",
        "sink.retry.pause=7ms",
        "sink.retry.pause_max=8ms",
        "sink.retry.give_up_after=9ms",
        "sink.retry.seed=7",
        "sink.dead_letters=seven",
        "sink.errors_max=7%",
        "sink.owner=seven",
        "pool.connections_max=7",
        "pool.waiters_max=8",
        "pool.idle_max=7ms",
        "pool.life_max=8ms",
        "pool.check_after_idle=9ms",
        "pool.idle_min=3",
        "pool.acquire_timeout=7ms",
        "pool.connect_timeout=7ms",
        "pool.check_timeout=7ms",
        "pool.reset_timeout=7ms",
        "pool.close_timeout=7ms",
        "pool.life_jitter_percent=7",
        "pool.backoff_min=7ms",
        "pool.backoff_max=7ms",
        "pool.lease_warn_after=7ms",
        "pool.seed=7",
        "sqlite.create=false",
        "sqlite.busy_timeout=7ms",
        "sqlite.synchronous=normal",
        "sqlite.journal=keep",
        "sqlite.ledger_table=seven",
        "buffer.rows_max=7",
        "buffer.bytes_max=8",
        "buffer.age_max=9ms",
        "stream.lanes=7",
        "stream.mode=upsert",
    ];

    #[test]
    fn each_setting_of_a_crate_can_be_set_and_changes_what_it_names() -> Outcome<()> {
        let text = |settings: &Settings| -> Outcome<String> {
            Ok(format!(
                "{:#?}{:#?}{:#?}{:#?}{:#?}{:#?}{:#?}",
                wal(settings)?,
                sink(settings)?,
                pool(settings)?,
                sqlite(settings)?,
                policy(settings)?,
                lanes(settings, 1)?,
                mode(settings, Mode::Append)?,
            ))
        };
        let none = text(&given(&[])?)?;
        for pair in OTHER {
            let settings = given(&[pair])?;
            assert_ne!(text(&settings)?, none, "{pair}");
            assert!(settings.unused().is_empty(), "{pair}");
        }
        let of_crates =
            KEYS.iter().filter(|key| !key.name.starts_with("run.") && !key.name.starts_with("self"));
        assert_eq!(of_crates.count(), OTHER.len());
        Ok(())
    }

    #[test]
    fn values_that_say_nothing_are_refused() -> Outcome<()> {
        for pair in [
            "wal.durability=soon",
            "wal.compression=zip",
            "wal.durability=periodic:",
            "sink.errors_max=many",
            "stream.mode=x",
        ] {
            let settings = given(&[pair])?;
            let refused =
                wal(&settings).is_err() || sink(&settings).is_err() || mode(&settings, Mode::Append).is_err();
            assert!(refused, "{pair}");
        }
        Ok(())
    }
}
