use std::{thread::JoinHandle, time::Duration};

use standpipe_log::Log;
use tokio::task::spawn_blocking;

use crate::{
    Sink, SinkError,
    retention::{self, Released},
    sink::Logged,
};

/// How a sink was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Records of the log that are acknowledged and not applied yet: the next life applies them. Exact once the sink
    /// has looked at all that former lives left; what it had not looked at counts in full.
    pub left_in_log: u64,
    /// Rows given to `write_at` that were not applied: their source has them.
    pub not_applied_rows: u64,
}

impl<L: Log> Sink<L> {
    /// Waits until everything written before the call is applied, whatever the batch settings.
    ///
    /// # Errors
    /// As [`Receipt::applied`](crate::Receipt::applied), for any stream, once the other streams are done.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn flush(&self) -> Result<(), SinkError> {
        if let Some(logged) = &self.logged {
            let end = logged.log.end().number();
            self.wait_dispatched(logged, end).await?;
        }
        let ends: Vec<_> =
            self.shared.all_lanes().into_iter().map(|lane| (lane.queued_end(), lane)).collect();
        self.shared.buffer.flush_all();
        let mut flushed = Ok(());
        for (end, lane) in ends {
            flushed = flushed.and(lane.wait_applied(end).await);
        }
        self.shared.check_alive()?;
        flushed
    }

    /// [`flush`](Sink::flush), and lets the log go of all that is applied.
    ///
    /// # Errors
    /// As `flush`; [`SinkError::Log`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing but how much the log keeps.
    pub async fn checkpoint(&self) -> Result<(), SinkError> {
        self.flush().await?;
        if let Some(logged) = &self.logged {
            self.release(logged, false).await?;
        }
        Ok(())
    }

    /// Takes nothing more, applies what it can until `deadline` from now, and says what is left.
    ///
    /// # Errors
    /// The reason why the sink or one of its streams stopped, after everything else was applied. What is in the log stays there.
    ///
    /// # Cancel safety
    /// Dropping the future is like dropping the sink.
    pub async fn close(mut self, deadline: Duration) -> Result<Closed, SinkError> {
        let drained = match tokio::time::timeout(deadline, self.checkpoint()).await {
            Ok(Err(error)) => Some(error),
            Ok(Ok(())) | Err(_) => None,
        };
        self.running.stop_tasks().await;
        self.shared.refuse();
        let dispatcher = self.running.stop_dispatcher();
        let log = self.logged.as_ref().map(|logged| logged.log.clone());
        // Closing the log wakes the dispatcher, and settles every ticket.
        let ended = spawn_blocking(move || {
            let closed = log.map_or(Ok(()), |log| log.close());
            // The thread catches its own panics.
            dispatcher.map(JoinHandle::join);
            closed
        });
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "closing the log");
        }
        let closed = self.left();
        // Nobody can be told anything new: the acknowledger tells the rest, and ends.
        drop(self.logged.take());
        self.running.stop_acknowledger().await;
        let failure = self.shared.failure().or(drained).or_else(|| self.shared.stream_failure());
        failure.map_or(Ok(closed), Err)
    }

    /// What is left. Exact when nothing moves any more.
    fn left(&self) -> Closed {
        let undispatched = self.logged.as_ref().map_or(0, |logged| {
            let dispatched = *logged.dispatched.borrow();
            logged.log.end().number().saturating_sub(dispatched)
        });
        let logged = self.shared.logged_lanes();
        let in_lanes: u64 = logged.iter().map(|lane| lane.waiting_records()).sum();
        let rows: u64 = self.shared.all_lanes().iter().map(|lane| lane.waiting_rows()).sum();
        let logged_rows: u64 = logged.iter().map(|lane| lane.waiting_rows()).sum();
        Closed { left_in_log: undispatched + in_lanes, not_applied_rows: rows - logged_rows }
    }

    pub(crate) async fn release(&self, logged: &Logged<L>, full: bool) -> Result<Released, SinkError> {
        retention::release(&self.shared, &logged.log, &logged.dispatched, &logged.relief, full).await
    }

    async fn wait_dispatched(&self, logged: &Logged<L>, end: u64) -> Result<(), SinkError> {
        let mut dispatched = logged.dispatched.subscribe();
        loop {
            let mut failed = std::pin::pin!(self.shared.committed.notified());
            failed.as_mut().enable();
            self.shared.check_alive()?;
            if *dispatched.borrow_and_update() >= end {
                return Ok(());
            }
            tokio::select! {
                changed = dispatched.changed() => changed.map_err(|_| SinkError::Closed)?,
                () = failed => {}
            }
        }
    }
}
