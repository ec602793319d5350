use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use standpipe_log::LogError;

use crate::dir::{Dir, DirLock};

mod group;
mod place;
mod raw;
mod times;

pub use place::FileSystem;
pub use times::Times;

/// What a measurement takes of the disk at most, in bytes.
pub const BENCH_BYTES_MAX: u64 = group::LOG_BYTES_MAX + 3 * raw::FILE_BYTES;
/// What the directory of a measurement is called, with a number behind it.
const SCRATCH: &str = "standpipe-bench-";
/// How many writers a log is measured with.
const WRITERS: [usize; 3] = [1, 8, 64];

/// What a disk does for a log.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DiskReport {
    /// What kind of file system it is.
    pub file_system: FileSystem,
    /// A raw loop of 4 KiB writes, each synced, into a file that was written before: the least that a durable append costs.
    pub written: Times,
    /// The same into space that was allocated and never written.
    pub fresh: Times,
    /// The same at the end of a file that grows.
    pub appended: Times,
    /// This log with more and more writers, each of which waits until its record is durable.
    pub groups: Vec<GroupReport>,
}

/// A log under some number of writers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GroupReport {
    /// Threads, each with one record on its way.
    pub writers: usize,
    /// The size of each record, in bytes.
    pub record_bytes: usize,
    /// Records that were made durable, a second.
    pub records_per_second: f64,
    /// From the append until the record was durable.
    pub commits: Times,
    /// The raw loop right before and right after, for a disk is not always the same.
    pub raw: Times,
}

impl GroupReport {
    /// How many records are made durable for each sync that the raw loop does in the same time.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.records_per_second / self.raw.per_second.max(f64::MIN_POSITIVE)
    }
}

/// What is measured next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Syncs of a file that was written before.
    Written,
    /// Syncs of a file that was allocated.
    Fresh,
    /// Syncs of a file that grows.
    Appended,
    /// A log with this many writers.
    Group(usize),
}

/// Measures the disk under a directory for about `span`, in a directory of its own there that takes [`BENCH_BYTES_MAX`] at most
/// and is removed on every way out; `stop` ends it early. What a measurement left behind whose process was killed is
/// removed too. Blocks.
///
/// # Errors
/// [`LogError::Full`] when there is not enough room; [`LogError::Io`], of the kind `Interrupted` after `stop`.
pub fn measure_disk(
    place: &Path,
    span: Duration,
    stop: &AtomicBool,
    told: &mut dyn FnMut(Stage),
) -> Result<DiskReport, LogError> {
    let file_system = place::file_system(place);
    place::check_room(place, BENCH_BYTES_MAX)?;
    let scratch = Scratch::make(place)?;
    let dir = Dir::open(scratch.path.join("raw")).map_err(|error| scratch.failed("making files", error))?;
    let share = span / (3 + WRITERS.len() as u32);
    let failed = |error| scratch.failed("writing and syncing", error);
    told(Stage::Written);
    let mut file = raw::Written::make(&dir).map_err(failed)?;
    let written = file.run(share, stop).map_err(failed)?.times();
    told(Stage::Fresh);
    let fresh = raw::fresh(&dir, share, stop).map_err(failed)?.times();
    told(Stage::Appended);
    let appended = raw::appended(&dir, share, stop).map_err(failed)?.times();
    let mut groups = Vec::new();
    for writers in WRITERS {
        told(Stage::Group(writers));
        let mut raw = file.run(share / 4, stop).map_err(failed)?;
        let place = scratch.path.join(format!("log-{writers}"));
        let mut group = group::measure(&place, writers, share / 2, stop)?;
        raw.add(file.run(share / 4, stop).map_err(failed)?);
        group.raw = raw.times();
        groups.push(group);
    }
    if stop.load(Ordering::Relaxed) {
        return Err(scratch.failed("measuring", io::ErrorKind::Interrupted.into()));
    }
    Ok(DiskReport { file_system, written, fresh, appended, groups })
}

/// A directory that goes when this does.
struct Scratch {
    path: PathBuf,
    _owner: DirLock,
}

impl Scratch {
    fn make(place: &Path) -> Result<Self, LogError> {
        let failed = |error| LogError::io(format!("making a directory in {}", place.display()), error);
        remove_abandoned(place);
        let path = place.join(format!("{SCRATCH}{}", std::process::id()));
        fs::create_dir(&path).map_err(failed)?;
        match DirLock::of(&path) {
            Ok(owner) => Ok(Scratch { path, _owner: owner }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(failed(error))
            }
        }
    }

    fn failed(&self, doing: &str, error: io::Error) -> LogError {
        if error.kind() == io::ErrorKind::StorageFull {
            return LogError::Full { what: format!("{doing} in {}: {error}", self.path.display()) };
        }
        LogError::io(format!("{doing} in {}", self.path.display()), error)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the directories of measurements that were killed: nobody holds their locks any more. That it fails does no
/// harm here.
fn remove_abandoned(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let number =
            entry.file_name().to_str().and_then(|name| name.strip_prefix(SCRATCH)?.parse::<u32>().ok());
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if let (Some(_), true, Ok(_owner)) =
            (number, is_dir && is_ours(&entry.path()), DirLock::of(&entry.path()))
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether only such things are in it as a measurement makes.
fn is_ours(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return false };
    entries
        .flatten()
        .all(|entry| entry.file_name().to_str().is_some_and(|name| name == "raw" || name.starts_with("log-")))
}
