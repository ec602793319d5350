use std::{sync::Arc, time::Instant};

use standpipe_buffer::Permit;
use standpipe_log::{LogError, Ticket};
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
///
/// A record that the log took and could not keep ends the sink, also one that it only found no room for: its writer may have
/// written more since, and may never look at the receipt.
pub(crate) async fn run<T: Ticket>(mut pending: mpsc::UnboundedReceiver<Pending<T>>, shared: Arc<Shared>) {
    // The log takes nothing while it is held: no record of a stream follows one that found no room.
    let mut refused = None;
    while let Some(mut record) = pending.recv().await {
        let outcome: Result<_, LogError> = (&mut record.ticket).await;
        drop(record.permit);
        shared.log_budget.record();
        match outcome {
            Ok(_) => {
                // Told first: an observer that panics takes nobody's acknowledgement with it.
                let _ = record.told.send(Ok(()));
                shared.events.acknowledged(record.rows, clock::since(record.since));
            }
            Err(error) => {
                let _ = record.told.send(Err(error.clone().into()));
                shared.fail(error.into());
                refused.get_or_insert(record.ticket);
            }
        }
    }
}
