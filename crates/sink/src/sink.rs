use std::{fmt, sync::Arc};

use standpipe_core::{SourceId, Target};
use standpipe_log::Log;
use tokio::sync::{Mutex, mpsc, watch};

use crate::{
    NoLog, SinkBuilder, SinkError,
    acknowledge::Pending,
    recover::{Memory, source_of},
    retention::Relief,
    running::Running,
    shared::Shared,
};

/// The write path: rows in, each exactly once in its table.
///
/// With a log ([`write`](Sink::write)) a row is safe from the moment its receipt says `durable`. Without one
/// ([`write_at`](Sink::write_at)) the caller's source can be read again from any position that was applied.
///
/// Dropping a sink without [`close`](Sink::close) loses nothing acknowledged: it stays in the log for the next life. The drop blocks for
/// the time that the log takes to close.
pub struct Sink<L: Log = NoLog> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) logged: Option<Logged<L>>,
    pub(crate) running: Running,
}

/// What a sink with a log has besides.
pub(crate) struct Logged<L: Log> {
    pub(crate) log: Arc<L>,
    pub(crate) pending: mpsc::UnboundedSender<Pending<L::Ticket>>,
    /// Everything below this number is in its lane.
    pub(crate) dispatched: Arc<watch::Sender<u64>>,
    /// What the log remembers of streams. Held while one is registered.
    pub(crate) memory: Mutex<Memory>,
    pub(crate) relief: Relief,
}

impl<L: Log> Logged<L> {
    pub(crate) fn new(
        log: Arc<L>,
        pending: mpsc::UnboundedSender<Pending<L::Ticket>>,
        dispatched: Arc<watch::Sender<u64>>,
        memory: Memory,
        relief: Relief,
    ) -> Self {
        Logged { log, pending, dispatched, memory: Mutex::new(memory), relief }
    }
}

impl Sink {
    /// Begins to put a sink together.
    #[must_use]
    pub fn builder() -> SinkBuilder {
        SinkBuilder::new()
    }
}

impl<L: Log> Sink<L> {
    pub(crate) fn assemble(shared: Arc<Shared>, logged: Option<Logged<L>>, running: Running) -> Self {
        Sink { shared, logged, running }
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &Arc<dyn Target> {
        &self.shared.target
    }

    /// The log's identity as the ledger knows it, where there is a log.
    ///
    /// # Errors
    /// Never for a log that keeps its contract.
    pub fn log_source(&self) -> Result<Option<SourceId>, SinkError> {
        self.logged.as_ref().map(|logged| source_of(&*logged.log)).transpose()
    }

    /// Bytes of rows that are in memory now.
    #[must_use]
    pub fn memory_in_use_bytes(&self) -> u64 {
        self.shared.budget().in_use() + self.shared.log_budget.in_use()
    }

    /// The most bytes of rows that were in memory since the sink was opened; never above `memory_bytes`.
    #[must_use]
    pub fn memory_peak_bytes(&self) -> u64 {
        self.shared.budget().peak() + self.shared.log_budget.peak()
    }

    pub(crate) fn logged(&self) -> Result<&Logged<L>, SinkError> {
        self.logged.as_ref().ok_or_else(|| {
            SinkError::Invalid(
                "this sink has no log: give the builder one, or use `source` and `write_at`".into(),
            )
        })
    }
}

impl<L: Log> Drop for Sink<L> {
    fn drop(&mut self) {
        self.running.abort();
        // Closed first: the dispatcher may wait for memory that nobody gives back any more.
        self.shared.refuse();
        let dispatcher = self.running.stop_dispatcher();
        // Closing the log wakes the dispatcher.
        if let Some(logged) = self.logged.take()
            && let Err(error) = logged.log.close()
        {
            tracing::warn!(%error, "closing the log");
        }
        if let Some(thread) = dispatcher {
            // The thread catches its own panics.
            let _ = thread.join();
        }
        self.shared.fail_streams(&SinkError::Closed);
        self.shared.committed.notify_waiters();
    }
}

impl<L: Log> fmt::Debug for Sink<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
