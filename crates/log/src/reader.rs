use std::time::Duration;

use crate::{LogError, Lsn};

/// One durable record, borrowed from the reader that found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The record's number.
    pub lsn: Lsn,
    /// The bytes that were appended, all parts joined.
    pub payload: &'a [u8],
}

/// Reads a log in order and follows its durable end.
///
/// # Duties of an implementer
/// 1. Records come in the order of their numbers, each once, none left out.
/// 2. A record that is not durable yet is never shown.
/// 3. A waiting reader wakes when a record becomes durable; it does not poll.
/// 4. Damage is reported as [`LogError::Corrupt`] with its place, never skipped and never shown as a record.
/// 5. A reader never blocks a writer.
/// 6. The records at and above the reader's place are not lost to truncation unnoticed: it gets
///    [`LogError::Truncated`] when what it wants next is gone.
/// 7. After the log closed, what was durable is still delivered, then [`LogError::Closed`].
pub trait Reader: Send + 'static {
    /// The next durable record. Waits up to `patience` for one; `None` when none came in that time.
    /// `Duration::ZERO` looks without waiting.
    ///
    /// # Errors
    /// [`LogError::Corrupt`], [`LogError::Truncated`], [`LogError::Io`]; [`LogError::Closed`] at the end of a closed
    /// log; [`LogError::Poisoned`] at the end of a poisoned one.
    fn next(&mut self, patience: Duration) -> Result<Option<Entry<'_>>, LogError>;

    /// The number from which the next record is looked for.
    fn position(&self) -> Lsn;
}
