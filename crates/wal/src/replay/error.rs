use std::{error, fmt};

use standpipe_log::{LogError, Lsn};

/// Why a replay stopped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// The log could not be read on: damaged, truncated, or refused by the system.
    Log(LogError),
    /// What the caller does with a record failed.
    Apply {
        /// The record; the first one of a batch; the commit of a transaction. Every record below it was applied.
        lsn: Lsn,
        /// The caller's error.
        error: E,
    },
    /// Transactions that are neither committed nor aborted take more memory than allowed.
    TooLarge {
        /// The record that had no room.
        lsn: Lsn,
        /// Its transaction.
        transaction: u64,
        /// What this transaction would take, in bytes.
        transaction_bytes: usize,
        /// What all of them would take together, in bytes.
        held_bytes: usize,
        /// The limit, in bytes: see [`Replay::memory`](crate::Replay::memory).
        limit_bytes: usize,
    },
    /// A mark that makes no sense where it stands, or a replay that began within a transaction.
    OutOfPlace {
        /// The record.
        lsn: Lsn,
        /// The transaction that it names.
        transaction: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl<E> From<LogError> for ReplayError<E> {
    fn from(error: LogError) -> Self {
        ReplayError::Log(error)
    }
}

impl<E: fmt::Display> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Log(error) => error.fmt(f),
            ReplayError::Apply { lsn, error } => write!(f, "applying record {lsn}: {error}"),
            ReplayError::TooLarge { lsn, transaction, transaction_bytes, held_bytes, limit_bytes } => write!(
                f,
                "record {lsn}: transaction {transaction} would hold {transaction_bytes} bytes, and all open ones \
                 {held_bytes} of {limit_bytes} allowed"
            ),
            ReplayError::OutOfPlace { lsn, transaction, what } => {
                write!(f, "record {lsn}, transaction {transaction}: {what}")
            }
        }
    }
}

/// The caller's error is part of the message, so that one that is no [`error::Error`] itself (a boxed one) will do.
impl<E: fmt::Debug + fmt::Display> error::Error for ReplayError<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            ReplayError::Log(error) => error.source(),
            _ => None,
        }
    }
}
