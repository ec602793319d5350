use std::{io, ops::ControlFlow};

use standpipe_log::{LogError, LogId, Lsn, Storage};

use crate::{
    plan::Plan,
    tour::{Halt, tour},
};

mod damage;
mod gather;
mod progress;

pub use damage::{Damage, Lost, TailReport};
use gather::Gather;
pub(crate) use progress::Meter;
pub use progress::{ReadProgress, Watch};

/// How often a log that is truncated meanwhile is looked at anew.
const TRIES_MAX: u32 = 8;

/// What is in a log's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The log's identity; `None` when no segment can say it.
    pub id: Option<LogId>,
    /// The segments, oldest first.
    pub segments: Vec<SegmentReport>,
    /// Files that belong to the log and hold no record.
    pub spares: Vec<Spare>,
    /// Files that are none of the log's, by name.
    pub strangers: Vec<String>,
    /// Keys pinned at the end.
    pub pins: u64,
    /// Those keys and their values, ordered by key. In a damaged log the latest that are left.
    pub pinned: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first record's number; `None` when there is no record.
    pub start: Option<Lsn>,
    /// The number after the last sound record.
    pub end: Option<Lsn>,
    /// What was damaged, oldest first. Empty for a sound log.
    pub damage: Vec<Damage>,
    /// What lies behind the last sound frame.
    pub tail: TailReport,
    /// What [`inspect`] takes time for: bytes of frames whose checksums were checked.
    pub checked_bytes: u64,
}

impl Inspection {
    /// The sums over all segments.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for segment in &self.segments {
            totals += segment.totals;
        }
        totals
    }
}

/// What is in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentReport {
    /// The file.
    pub name: String,
    /// Its number.
    pub sequence: u64,
    /// Its format version; 0 where its header is damaged.
    pub version: u32,
    /// The number of its first record, or of the one that would be.
    pub base: Lsn,
    /// The number after its last sound record.
    pub end: Lsn,
    /// Sound frames.
    pub frames: u64,
    /// Records in them, pins and marks included.
    pub records: u64,
    /// Bytes of the header and the sound frames.
    pub used_bytes: u64,
    /// Bytes reserved for it.
    pub allocated_bytes: u64,
    /// The offset below which the segment proves itself durable.
    pub proven_bytes: u64,
    /// Whether a later segment says where this one ends.
    pub is_sealed: bool,
    /// Whether something in it is not what was written.
    pub is_damaged: bool,
    /// What its sound frames come to.
    pub totals: Totals,
}

/// What sound frames come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Frames that hold a record of the caller's.
    pub data_frames: u64,
    /// Records of the caller's.
    pub data_records: u64,
    /// Bytes of the callers' records, as they were appended.
    pub data_bytes: u64,
    /// Bytes of payloads as they are in the files.
    pub stored_bytes: u64,
    /// Bytes of the same payloads before they were compressed.
    pub raw_bytes: u64,
    /// Bytes between frames.
    pub padding_bytes: u64,
}

impl Totals {
    /// Records of the caller's in a frame that has any, on average: what group commit came to.
    #[must_use]
    pub fn records_per_frame(&self) -> Option<f64> {
        (self.data_frames > 0).then(|| self.data_records as f64 / self.data_frames as f64)
    }

    /// Bytes stored for each byte of payload: 1 where nothing is compressed.
    #[must_use]
    pub fn compression_ratio(&self) -> Option<f64> {
        (self.raw_bytes > 0).then(|| self.stored_bytes as f64 / self.raw_bytes as f64)
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, more: Totals) {
        self.data_frames += more.data_frames;
        self.data_records += more.data_records;
        self.data_bytes += more.data_bytes;
        self.stored_bytes += more.stored_bytes;
        self.raw_bytes += more.raw_bytes;
        self.padding_bytes += more.padding_bytes;
    }
}

/// A file of the log that holds no record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spare {
    /// The file.
    pub name: String,
    /// What it is for.
    pub kind: SpareKind,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What a file without records is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpareKind {
    /// A segment in the making, that a crash may have left: opening the log removes it.
    Draft,
    /// The next segment, made ahead of its time.
    Ready,
    /// A segment that was truncated, kept to be used again.
    Free,
}

/// Describes the log in a storage. Reads everything, changes nothing, takes no lock; works beside a log that is open
/// (what it sees is then a moment's picture). Damage is described, not an error, and what lies behind it is looked for. Blocks.
/// Memory is bounded by the largest frame and the pins.
///
/// # Errors
/// [`LogError::Io`]; [`LogError::Unsupported`] where a segment is of a later version, [`LogError::Invalid`] where a frame is.
pub fn inspect<S: Storage>(storage: &S) -> Result<Inspection, LogError> {
    inspect_watched(storage, &mut |_| ControlFlow::Continue(()))
}

pub(crate) fn inspect_watched<S: Storage>(storage: &S, watch: Watch<'_>) -> Result<Inspection, LogError> {
    for _ in 0..TRIES_MAX {
        let plan = Plan::make(storage)?;
        let mut gather = Gather::new(&plan, watch);
        match tour(storage, &plan, &mut gather) {
            Ok(()) => return Ok(gather.finish()),
            // A segment was truncated away after it was listed: take another picture.
            Err(Halt::Moved) => {}
            Err(Halt::Enough) => return Err(interrupted()),
            Err(Halt::Failed(error)) => return Err(error),
        }
    }
    Err(LogError::Invalid(format!(
        "the log in {} is truncated faster than it can be read; try again when it is less busy",
        storage.describe()
    )))
}

/// What a watcher that breaks gets.
pub(crate) fn interrupted() -> LogError {
    LogError::io("reading the log", io::ErrorKind::Interrupted.into())
}
