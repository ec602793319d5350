use std::{error, fmt, io, sync::Arc};

use crate::Lsn;

/// What the caller of a log should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing happened; the same call may succeed later.
    Retry,
    /// It may or may not have happened; opening the log again tells.
    InDoubt,
    /// The log is closed or belongs to someone else.
    Closed,
    /// What is on disk is not what was written.
    Corrupt,
    /// The call can never succeed as it is.
    Invalid,
}

/// Why a log did not do what it was asked. Cheap to clone: every waiter of a failed group gets it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LogError {
    /// The record, or the batch, is larger than the log takes.
    TooLarge {
        /// Its size in bytes.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The log has reached its size limit, or the disk is full. Nothing was appended.
    Full {
        /// What is full, and how full.
        what: String,
    },
    /// An earlier write or sync failed: the log takes nothing more, and what was not yet acknowledged may or may
    /// not be on disk.
    Poisoned {
        /// The failure that did it.
        cause: Arc<str>,
    },
    /// What is on disk below the proven point is damaged.
    Corrupt {
        /// The file.
        segment: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// The record that should be there.
        lsn: Lsn,
        /// What was found.
        what: String,
    },
    /// The record is no longer in the log.
    Truncated {
        /// The number asked for.
        wanted: Lsn,
        /// The lowest number still there.
        start: Lsn,
    },
    /// Another process, or another part of this one, has the log open.
    InUse {
        /// Where the log is.
        place: String,
    },
    /// A format that this version does not read.
    Unsupported {
        /// The file.
        segment: String,
        /// Its version.
        version: u32,
    },
    /// The log was closed.
    Closed,
    /// The arguments make no sense together.
    Invalid(String),
    /// The system refused a call that changes nothing (opening, reading, listing).
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        error: Arc<io::Error>,
    },
}

impl LogError {
    /// Wraps what the system said, with what was being done.
    #[must_use]
    pub fn io(doing: impl Into<String>, error: io::Error) -> Self {
        LogError::Io { doing: doing.into(), error: Arc::new(error) }
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            LogError::Full { .. } | LogError::Io { .. } => ErrorKind::Retry,
            LogError::Poisoned { .. } => ErrorKind::InDoubt,
            LogError::Closed | LogError::InUse { .. } => ErrorKind::Closed,
            LogError::Corrupt { .. } => ErrorKind::Corrupt,
            LogError::TooLarge { .. }
            | LogError::Truncated { .. }
            | LogError::Unsupported { .. }
            | LogError::Invalid(_) => ErrorKind::Invalid,
        }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::TooLarge { size_bytes, limit_bytes } => {
                write!(f, "a record of {size_bytes} bytes is above the log's limit of {limit_bytes} bytes")
            }
            LogError::Full { what } => write!(f, "the log is full: {what}"),
            LogError::Poisoned { cause } => {
                write!(
                    f,
                    "the log stopped after a failure ({cause}); open it again to recover what is on disk"
                )
            }
            LogError::Corrupt { segment, offset, lsn, what } => {
                write!(f, "{segment} is damaged at byte {offset} (record {lsn}): {what}")
            }
            LogError::Truncated { wanted, start } => {
                write!(f, "record {wanted} is no longer in the log, which starts at {start}")
            }
            LogError::InUse { place } => write!(f, "the log at {place} is in use by another process"),
            LogError::Unsupported { segment, version } => {
                write!(f, "{segment} has format version {version}, which this build does not read")
            }
            LogError::Closed => f.write_str("the log is closed"),
            LogError::Invalid(what) => f.write_str(what),
            LogError::Io { doing, error } => write!(f, "{doing}: {error}"),
        }
    }
}

impl error::Error for LogError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            LogError::Io { error, .. } => Some(&**error),
            _ => None,
        }
    }
}
