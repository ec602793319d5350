/// What the rows come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SourceKind {
    /// A write-ahead log: appended, synced, truncated, locked by one process.
    Log,
    /// A file or anything else that can be replayed: all there, all acknowledged, read by whoever wants to.
    File,
}

/// How large the model is, and how often each fault may happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// What the rows come from.
    pub source: SourceKind,
    /// Rows of the producer, 1 to 4.
    pub rows: u8,
    /// Lanes of the stream, 1 or 2; the rows take turns.
    pub lanes: u8,
    /// Processes killed. The unsynced tail of a log survives to any length.
    pub crashes: u8,
    /// Second owners started while the first still runs; for files only, since a log is locked.
    pub takeovers: u8,
    /// Connections lost while COMMIT is under way: it may then be committed, rolled back, or either later.
    pub lost_replies: u8,
    /// Syncs of the log that fail.
    pub failed_syncs: u8,
    /// Restores of the database to a state it had before.
    pub restores: u8,
    /// Log directories that are replaced by empty ones while nobody has them open.
    pub replaced_logs: u8,
}

impl Bounds {
    /// The most rows.
    pub const ROWS_MAX: u8 = super::state::ROWS_MAX as u8;
    /// The most lanes.
    pub const LANES_MAX: u8 = super::state::LANES_MAX as u8;

    /// A log, one process at a time.
    #[must_use]
    pub const fn log() -> Self {
        Bounds {
            source: SourceKind::Log,
            rows: 3,
            lanes: 2,
            crashes: 1,
            takeovers: 0,
            lost_replies: 1,
            failed_syncs: 1,
            restores: 1,
            replaced_logs: 0,
        }
    }

    /// A file, two processes at once.
    #[must_use]
    pub const fn file() -> Self {
        Bounds {
            source: SourceKind::File,
            rows: 3,
            lanes: 2,
            crashes: 1,
            takeovers: 1,
            lost_replies: 1,
            failed_syncs: 0,
            restores: 1,
            replaced_logs: 0,
        }
    }
}
