//! Which records the page is made of.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::bench::{
    baseline, home,
    record::{Measured, Record},
};

/// What there is to show.
pub(super) struct Data {
    /// Of `bench run`.
    pub(super) run: Option<Record>,
    /// Of `bench peers`.
    pub(super) peers: Option<Record>,
    /// By name.
    pub(super) baselines: Vec<(String, Record)>,
    /// The files that were read.
    pub(super) files: Vec<PathBuf>,
}

/// Records older than this, measured before the one that leads, are not of the same sitting.
const SITTING_S: u64 = 24 * 3600;

impl Data {
    /// The given records, or the newest ones, and all baselines.
    pub(super) fn read(run: &[PathBuf], peers: &[PathBuf]) -> Result<Self, String> {
        let mut files = Vec::new();
        let run = given_or_newest(run, &home().join("runs"), &mut files)?;
        let peers = given_or_newest(peers, &home().join("peers"), &mut files)?;
        let names = baseline::names();
        // One that can't be read is named by `bench baseline --list`; the page is made of the others.
        let baselines =
            names.into_iter().filter_map(|name| Some((name.clone(), baseline::read(&name).ok()?)));
        Ok(Data { run, peers, baselines: baselines.collect(), files })
    }

    #[cfg(test)]
    pub(super) fn of(run: Option<Record>, peers: Option<Record>) -> Self {
        Data { run, peers, baselines: Vec::new(), files: Vec::new() }
    }

    /// What was measured of standpipe alone.
    pub(super) fn results(&self) -> &[Measured] {
        self.run.as_ref().map_or(&[], |record| &record.results)
    }

    /// What is not there, each with the command that makes it.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.run.is_none() {
            missing.push("no record of a run: cargo xtask bench run".to_owned());
        }
        if self.peers.is_none() {
            missing.push("no record of peers: cargo xtask bench peers".to_owned());
        }
        missing
    }
}

fn given_or_newest(
    given: &[PathBuf],
    folder: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<Option<Record>, String> {
    if given.is_empty() {
        return Ok(newest(folder, files));
    }
    let mut whole: Option<Record> = None;
    for path in given {
        let record = Record::read(path)?;
        files.push(path.clone());
        match &mut whole {
            Some(whole) => {
                join(whole, record);
            }
            None => whole = Some(record),
        }
    }
    Ok(whole)
}

/// The newest, and what others of the same sitting measured besides: `run --group log` and `run --group pool` make
/// one page.
fn newest(folder: &Path, files: &mut Vec<PathBuf>) -> Option<Record> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let paths = entries.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let mut records: Vec<(PathBuf, Record)> =
        paths.filter_map(|path| Record::read(&path).ok().map(|record| (path, record))).collect();
    records.sort_by_key(|(_, record)| std::cmp::Reverse(record.made_at_s));
    // One that only looked whether everything runs measured nothing.
    let lead = records.iter().position(|(_, record)| record.scale != "once").unwrap_or_default();
    let mut records = records.into_iter().skip(lead);
    let (path, mut whole) = records.next()?;
    files.push(path);
    for (path, record) in records {
        if is_same_sitting(&whole, &record) && join(&mut whole, record) {
            files.push(path);
        }
    }
    Some(whole)
}

fn is_same_sitting(lead: &Record, other: &Record) -> bool {
    let of = |record: &Record| {
        (record.commit.id.clone(), record.scale.clone(), record.settings.clone(), record.span_ms)
    };
    of(lead) == of(other) && lead.machine == other.machine && lead.made_at_s - other.made_at_s < SITTING_S
}

/// Adds the workloads that `whole` lacks; returns whether there were any.
fn join(whole: &mut Record, other: Record) -> bool {
    let before = whole.results.len();
    for one in other.results {
        if !whole.results.iter().any(|there| there.workload == one.workload) {
            // Groups stay together.
            let place = whole.results.iter().rposition(|there| there.group == one.group);
            whole.results.insert(place.map_or(whole.results.len(), |place| place + 1), one);
        }
    }
    whole.results.len() > before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn records_of_one_sitting_fill_each_other_and_the_newest_leads() -> Result<(), String> {
        let folder = std::env::temp_dir().join(format!("xtask-report-{}", std::process::id()));
        let write = |name: &str, change: &dyn Fn(&mut Record)| {
            let mut record = fixture::record(vec![fixture::rate("log.a", 1.0)]);
            record.made_at_s = 1_000_000;
            change(&mut record);
            record.write(&folder.join(name))
        };
        write("1.json", &|record| record.results.push(fixture::rate("pool.a", 7.0)))?;
        write("2.json", &|record| record.made_at_s += 10)?;
        write("3.json", &|record| (record.scale, record.made_at_s) = ("once".to_owned(), 1_000_020))?;
        write("4.json", &|record| {
            record.commit.id = "another".to_owned();
            record.results.push(fixture::rate("txn.a", 7.0));
        })?;
        fs::write(folder.join("5.json"), "{").map_err(|error| error.to_string())?;
        let mut files = Vec::new();
        let record = newest(&folder, &mut files).expect("there are records");
        let names: Vec<_> = record.results.iter().map(|one| one.workload.as_str()).collect();
        assert_eq!(names, ["log.a", "pool.a"]);
        assert_eq!(files, [folder.join("2.json"), folder.join("1.json")]);
        assert!(newest(&folder.join("none"), &mut files).is_none());
        fs::remove_dir_all(&folder).map_err(|error| error.to_string())
    }
}
