use std::{fmt, sync::Arc};

use tokio::sync::{Mutex, oneshot};

use crate::{SinkError, stream::LaneState};

/// What a write gives back: proof of its two stages.
///
/// Dropping a receipt changes nothing about the rows.
pub struct Receipt {
    durable: Mutex<Durable>,
    lanes: Vec<(Arc<LaneState>, u64)>,
}

enum Durable {
    /// One for each group of blocks that the log took as one.
    Waiting(Vec<oneshot::Receiver<Result<(), SinkError>>>),
    Known(Result<(), SinkError>),
    /// There is no log: the rows are safe when they are applied, and until then in their source.
    WhenApplied,
}

impl Receipt {
    pub(crate) fn logged(
        records: Vec<oneshot::Receiver<Result<(), SinkError>>>,
        lanes: Vec<(Arc<LaneState>, u64)>,
    ) -> Self {
        Receipt { durable: Mutex::new(Durable::Waiting(records)), lanes }
    }

    pub(crate) fn unlogged(lanes: Vec<(Arc<LaneState>, u64)>) -> Self {
        Receipt { durable: Mutex::new(Durable::WhenApplied), lanes }
    }

    /// Waits until the rows survive what the log's durability promises: they are **acknowledged**. Without a log that is when they
    /// are applied.
    ///
    /// # Errors
    /// [`SinkError::Log`]: the rows may or may not be in the log ([`InDoubt`](standpipe_core::ErrorKind::InDoubt)), or are not
    /// ([`Retry`](standpipe_core::ErrorKind::Retry): the disk had no room for what the log had taken); either ends the sink, so that
    /// nothing of a later write is taken behind the hole. Any other error: the sink was dropped or stopped first, and the rows may or may not
    /// be in the log.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; it can be asked again.
    pub async fn durable(&self) -> Result<(), SinkError> {
        let mut durable = self.durable.lock().await;
        if let Durable::Waiting(records) = &mut *durable {
            while let Some(record) = records.last_mut() {
                let told = match record.await {
                    Ok(told) => told,
                    // The sink is gone: the rows may or may not be in the log.
                    Err(_) => Err(self
                        .lanes
                        .first()
                        .and_then(|(lane, _)| lane.failure())
                        .unwrap_or(SinkError::Closed)),
                };
                records.pop();
                if told.is_err() {
                    *durable = Durable::Known(told.clone());
                    return told;
                }
            }
            *durable = Durable::Known(Ok(()));
        }
        match &*durable {
            Durable::Known(known) => known.clone(),
            Durable::WhenApplied | Durable::Waiting(_) => {
                drop(durable);
                self.wait_lanes().await
            }
        }
    }

    /// Waits until each row is in its table or in the dead letters, committed.
    ///
    /// # Errors
    /// [`SinkError::Stream`] when the stream stopped before: with a log, acknowledged rows stay there for the next life.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; it can be asked again.
    pub async fn applied(&self) -> Result<(), SinkError> {
        self.durable().await?;
        self.wait_lanes().await
    }

    async fn wait_lanes(&self) -> Result<(), SinkError> {
        for (lane, end) in &self.lanes {
            lane.wait_applied(*end).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends: Vec<_> = self.lanes.iter().map(|(lane, end)| (lane.id.to_string(), *end)).collect();
        f.debug_struct("Receipt").field("ends", &ends).finish_non_exhaustive()
    }
}
