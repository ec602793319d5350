use std::future::Future;

use crate::{LogError, Lsn};

/// What an append hands back: wait on it, or await it, until the record is as durable as the log promises.
///
/// # Duties of an implementer
/// 1. It resolves to `Ok` only when the record, and every record below it, is durable.
/// 2. It always resolves: a failed sync, a dead log thread and a closed log resolve it with an error.
/// 3. Dropping it unresolved neither withdraws the record nor leaks anything.
///
/// # Cancel safety
/// Dropping the future loses only the notice: the record stays in the log.
pub trait Ticket: Future<Output = Result<Lsn, LogError>> + Send + Unpin + 'static {
    /// The number given to the record (to the last one of a batch). Known before it is durable.
    fn lsn(&self) -> Lsn;

    /// Blocks the thread until the record is durable and returns its number.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] where the log failed before this record was proven durable: whether it is on disk is
    /// then unknown until the log is opened again.
    fn wait(self) -> Result<Lsn, LogError>;
}
