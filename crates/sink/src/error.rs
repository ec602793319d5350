use std::{error, fmt, sync::Arc, time::Duration};

use standpipe_core::{Error, ErrorKind, StreamId};
use standpipe_log::LogError;

/// Why a sink did not do what it was asked. Cheap to clone: every receipt that waits gets it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SinkError {
    /// The log refused or failed.
    Log(LogError),
    /// The target refused or failed, or its claim was lost.
    Target(Arc<Error>),
    /// One block is larger than the memory it would have to pass through.
    TooLarge {
        /// The size in bytes.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// There was no room within `write_timeout`. Nothing was taken of a write that the log takes as one; of a larger one the parts before
    /// may have been.
    Timeout(Duration),
    /// More rows were dead-lettered than allowed. The batch that passed the limit was not committed.
    TooManyErrors {
        /// Dead letters, those of the refused batch included.
        dead_letters: u64,
        /// The reason of the last one.
        last: String,
    },
    /// A thread or task of the sink panicked. Nothing acknowledged is lost: it is in the log, or still in its source.
    Panicked {
        /// Which one.
        what: &'static str,
        /// What it said.
        message: String,
    },
    /// The sink, or this stream, is closed.
    Closed,
    /// The arguments make no sense together.
    Invalid(String),
    /// The stream failed earlier; other streams go on.
    Stream {
        /// The stream.
        stream: StreamId,
        /// Why it stopped.
        cause: Arc<SinkError>,
    },
}

impl SinkError {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            SinkError::Log(error) => match error.kind() {
                standpipe_log::ErrorKind::Retry => ErrorKind::Retry,
                standpipe_log::ErrorKind::InDoubt => ErrorKind::InDoubt,
                standpipe_log::ErrorKind::Closed => ErrorKind::Closed,
                standpipe_log::ErrorKind::Corrupt => ErrorKind::Corrupt,
                _ => ErrorKind::Invalid,
            },
            SinkError::Target(error) => error.kind(),
            SinkError::Timeout(_) => ErrorKind::Retry,
            SinkError::TooManyErrors { .. } => ErrorKind::Reject,
            SinkError::Closed | SinkError::Panicked { .. } => ErrorKind::Closed,
            SinkError::TooLarge { .. } | SinkError::Invalid(_) => ErrorKind::Invalid,
            SinkError::Stream { cause, .. } => cause.kind(),
        }
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SinkError::Log(error) => error.fmt(f),
            SinkError::Target(error) => error.fmt(f),
            SinkError::TooLarge { size_bytes, limit_bytes } => write!(
                f,
                "{size_bytes} bytes in one piece do not fit into {limit_bytes} bytes of memory; raise the memory limit"
            ),
            SinkError::Timeout(waited) => {
                write!(f, "no room within {waited:?}: the target, or the disk of the log, does not keep up")
            }
            SinkError::TooManyErrors { dead_letters, last } => {
                write!(f, "stopped: {dead_letters} rows could not be applied, the last because: {last}")
            }
            SinkError::Panicked { what, message } => write!(f, "{what} panicked: {message}"),
            SinkError::Closed => f.write_str("the sink is closed"),
            SinkError::Invalid(what) => f.write_str(what),
            SinkError::Stream { stream, cause } => write!(f, "stream {stream} stopped: {cause}"),
        }
    }
}

impl error::Error for SinkError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            SinkError::Log(error) => Some(error),
            SinkError::Target(error) => Some(&**error),
            SinkError::Stream { cause, .. } => Some(&**cause),
            _ => None,
        }
    }
}

impl From<LogError> for SinkError {
    fn from(error: LogError) -> Self {
        SinkError::Log(error)
    }
}

impl From<Error> for SinkError {
    fn from(error: Error) -> Self {
        SinkError::Target(Arc::new(error))
    }
}
