use std::{sync::Arc, time::Instant};

use standpipe_buffer::Permit;
use standpipe_log::{ErrorKind, LogError, Ticket};
use tokio::sync::{mpsc, oneshot};

use crate::{SinkError, clock, shared::Shared};

/// Records that the log has taken and not made durable yet. Bounded by the memory that each holds.
pub(crate) struct Pending<T> {
    pub(crate) ticket: T,
    pub(crate) rows: u64,
    pub(crate) since: Instant,
    pub(crate) told: oneshot::Sender<Result<(), SinkError>>,
    pub(crate) permit: Permit,
}

/// Waits for the records in the order of the log, tells their writers, and gives their memory back: from here on the
/// log holds them. One waiter for all keeps a receipt that nobody looks at from holding memory.
pub(crate) async fn run<T: Ticket>(mut pending: mpsc::UnboundedReceiver<Pending<T>>, shared: Arc<Shared>) {
    while let Some(record) = pending.recv().await {
        let outcome: Result<_, LogError> = record.ticket.await;
        drop(record.permit);
        shared.log_budget.record();
        match outcome {
            Ok(_) => {
                // Told first: an observer that panics takes nobody's acknowledgement with it.
                let _ = record.told.send(Ok(()));
                shared.events.acknowledged(record.rows, clock::since(record.since));
            }
            Err(error) => {
                let ends_the_log = error.kind() != ErrorKind::Retry;
                let _ = record.told.send(Err(error.clone().into()));
                if ends_the_log {
                    shared.fail(error.into());
                }
            }
        }
    }
}
