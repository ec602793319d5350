use std::{error, fmt};

use crate::{LaneId, SourceId, StreamId};

/// What the caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing happened; the same call may succeed later.
    Retry,
    /// These rows cannot be taken as they are; others can.
    Reject,
    /// It may or may not have happened; [`Target::resolve`](crate::Target::resolve) tells.
    InDoubt,
    /// Somebody else owns the stream now. Never claim again by yourself.
    Fenced,
    /// It is closed.
    Closed,
    /// What is stored is not what was written.
    Corrupt,
    /// The call can never succeed as it is.
    Invalid,
}

/// Why a target, a pool or a sink did not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A newer claim of the lane exists.
    Fenced {
        /// The lane.
        lane: LaneId,
        /// The epoch that was held.
        epoch: u64,
    },
    /// The ledger's positions of this stream come from another source.
    WrongSource {
        /// The stream.
        stream: StreamId,
        /// The source that the ledger names.
        ledger: SourceId,
        /// The source that asked.
        asked: SourceId,
    },
    /// The ledger is behind what the source still has: these positions would be skipped.
    Gap {
        /// The lane.
        lane: LaneId,
        /// The first missing position.
        from: u64,
        /// The first position that is there again.
        to: u64,
    },
    /// The ledger is ahead of where the source ends: it belongs to a longer, newer or other life of the source.
    Ahead {
        /// The lane.
        lane: LaneId,
        /// The ledger's position.
        position: u64,
        /// The end of the source.
        end: u64,
    },
    /// The stream was first claimed with another number of lanes.
    Lanes {
        /// The stream.
        stream: StreamId,
        /// What the ledger says.
        ledger: u32,
        /// What was asked for.
        asked: u32,
    },
    /// Any other failure.
    Other {
        /// What to do.
        kind: ErrorKind,
        /// What happened, and what the reader can do.
        message: String,
        /// The database's own code, such as an SQLSTATE.
        code: Option<String>,
        /// What caused it.
        source: Option<Box<dyn error::Error + Send + Sync>>,
    },
}

impl Error {
    /// An error of the given kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error::Other { kind, message: message.into(), code: None, source: None }
    }

    /// [`ErrorKind::Retry`].
    #[must_use]
    pub fn retry(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Retry, message)
    }

    /// [`ErrorKind::Invalid`].
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// [`ErrorKind::InDoubt`].
    #[must_use]
    pub fn in_doubt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InDoubt, message)
    }

    /// [`ErrorKind::Closed`].
    #[must_use]
    pub fn closed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Closed, message)
    }

    /// Adds the database's own code.
    #[must_use]
    pub fn with_code(mut self, added: impl Into<String>) -> Self {
        if let Error::Other { code, .. } = &mut self {
            *code = Some(added.into());
        }
        self
    }

    /// Adds what caused it.
    #[must_use]
    pub fn with_source(mut self, added: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        if let Error::Other { source, .. } = &mut self {
            *source = Some(added.into());
        }
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Fenced { .. } => ErrorKind::Fenced,
            Error::WrongSource { .. } | Error::Gap { .. } | Error::Ahead { .. } | Error::Lanes { .. } => {
                ErrorKind::Invalid
            }
            Error::Other { kind, .. } => *kind,
        }
    }

    /// The database's own code, where there is one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Other { code, .. } => code.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Fenced { lane, epoch } => {
                write!(
                    f,
                    "fenced: another run has taken over {lane} (ours was epoch {epoch}); this one stops"
                )
            }
            Error::WrongSource { stream, ledger, asked } => write!(
                f,
                "wrong source: stream {stream} was filled from {ledger}, this run brings {asked}; \
                 if it is new data, give it a stream id of its own"
            ),
            Error::Gap { lane, from, to } => write!(
                f,
                "gap: {lane} was applied up to {from}, but its source begins at {to}; was the database restored \
                 to an earlier point?"
            ),
            Error::Ahead { lane, position, end } => write!(
                f,
                "ahead: {lane} was applied up to {position}, but its source ends at {end}; was the source cut \
                 short or replaced?"
            ),
            Error::Lanes { stream, ledger, asked } => write!(
                f,
                "lanes: stream {stream} has {ledger} lanes since it was first claimed, not {asked}; the number \
                 can be changed only by starting a new stream"
            ),
            Error::Other { message, code: Some(code), .. } => write!(f, "{message} [{code}]"),
            Error::Other { message, code: None, .. } => f.write_str(message),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::Other { source: Some(source), .. } => Some(&**source),
            _ => None,
        }
    }
}
