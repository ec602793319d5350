use std::{path::Path, sync::Arc, time::Instant};

use standpipe_harness::Outcome;

use super::record::{Record, Seen};

/// Which promise an append keeps when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// It survives power loss.
    Durable,
    /// It survives the death of the process.
    Os,
}

/// A log that is compared.
pub(crate) trait Engine: Sized + Send + Sync + 'static {
    /// What one thread appends with.
    type Writer: Writer + Send;

    /// A new log in an empty directory.
    fn open(dir: &Path, promise: Promise) -> Outcome<Self>;

    /// A writer of its own for the thread with this number.
    fn writer(self: &Arc<Self>, number: u64) -> Outcome<Self::Writer>;

    /// Closes as a program does that ends well.
    fn close(self) -> Outcome<()>;

    /// Opens the log of an earlier life and shows every record.
    fn replay(dir: &Path, seen: Seen) -> Outcome<Replayed>;
}

/// A log that was read back.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// Its records.
    pub(crate) seen: Seen,
    /// When it was open: it could have been appended to.
    pub(crate) opened: Instant,
    /// When the last record was shown. Closing comes after that.
    pub(crate) ended: Instant,
}

/// The engine when nobody else holds it any more.
pub(crate) fn alone<E>(engine: Arc<E>) -> Outcome<E> {
    Arc::into_inner(engine).ok_or_else(|| "a writer still holds the log".into())
}

/// Appends; what it returns from keeps the promise.
pub(crate) trait Writer {
    /// One record.
    fn append(&mut self, record: &Record) -> Outcome<()>;

    /// Several, kept with one sync.
    fn append_batch(&mut self, records: &[Record]) -> Outcome<()>;
}
