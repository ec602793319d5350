use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use standpipe_buffer::{Budget, Lanes, Policy};
use standpipe_core::{LaneId, StreamId, Target};
use tokio::sync::Notify;

use crate::{
    Events, Settings, SinkError,
    item::Item,
    stream::{LaneState, StreamState},
};

/// What every part of a sink works on.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) target: Arc<dyn Target>,
    pub(crate) events: Arc<dyn Events>,
    /// Blocks between the dispatcher and the workers.
    pub(crate) lanes: Lanes<LaneId, Item>,
    /// Memory for them.
    pub(crate) budget: Budget,
    /// Rung after every commit.
    pub(crate) committed: Notify,
    streams: Mutex<BTreeMap<u32, Arc<StreamState>>>,
    failure: OnceLock<SinkError>,
    /// Rows in committed dead letters, and rows in commits.
    pub(crate) dead_lettered: AtomicU64,
    pub(crate) rows_seen: AtomicU64,
}

impl Shared {
    pub(crate) fn new(settings: Settings, target: Arc<dyn Target>, events: Arc<dyn Events>) -> Self {
        let policy = Policy {
            rows_max: settings.batch_rows_max,
            bytes_max: settings.batch_bytes(),
            age_max: settings.flush_after,
            ..Policy::default()
        };
        Shared {
            budget: Budget::new(settings.target_share_bytes()),
            lanes: Lanes::new(policy),
            settings,
            target,
            events,
            committed: Notify::new(),
            streams: Mutex::new(BTreeMap::new()),
            failure: OnceLock::new(),
            dead_lettered: AtomicU64::new(0),
            rows_seen: AtomicU64::new(0),
        }
    }

    pub(crate) fn streams(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<StreamState>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stream(&self, number: u32) -> Option<Arc<StreamState>> {
        self.streams().get(&number).cloned()
    }

    pub(crate) fn stream_named(&self, id: &StreamId) -> Option<Arc<StreamState>> {
        self.streams().values().find(|stream| stream.id == *id).cloned()
    }

    /// Every lane of every stream.
    pub(crate) fn all_lanes(&self) -> Vec<Arc<LaneState>> {
        self.streams().values().flat_map(|stream| stream.lanes.iter().cloned()).collect()
    }

    /// Why the sink stopped, if it did.
    pub(crate) fn failure(&self) -> Option<SinkError> {
        self.failure.get().cloned()
    }

    /// Stops the whole sink for good. The first reason stays.
    pub(crate) fn fail(&self, error: SinkError) {
        tracing::error!(%error, "the sink stops");
        let _ = self.failure.set(error.clone());
        for stream in self.streams().values() {
            stream.fail(&error);
        }
        self.budget.close();
        self.lanes.close();
        self.committed.notify_waiters();
    }

    /// Stops one stream for good; the others go on.
    pub(crate) fn fail_stream(&self, number: u32, error: &SinkError) {
        let Some(stream) = self.stream(number) else { return };
        tracing::error!(stream = %stream.id, %error, "the stream stops");
        stream.fail(error);
        for lane in &stream.lanes {
            drop(self.lanes.remove(&lane.id));
        }
        self.committed.notify_waiters();
    }

    pub(crate) fn check_alive(&self) -> Result<(), SinkError> {
        self.failure().map_or(Ok(()), Err)
    }

    /// Puts an item into its lane. The order of calls is the order of the lane. A sink that stops takes nothing: what is not
    /// applied is in the log, or still in its source.
    pub(crate) fn enqueue(&self, item: Item) -> Result<(), SinkError> {
        item.lane.queued(item.end);
        let (key, now) = (item.lane.id.clone(), item.since);
        self.lanes.push(key, item, now).map_err(|_| self.failure().unwrap_or(SinkError::Closed))
    }

    pub(crate) fn count_applied(&self, rows: u64, dead_lettered: u64) {
        self.rows_seen.fetch_add(rows + dead_lettered, Ordering::Relaxed);
        self.dead_lettered.fetch_add(dead_lettered, Ordering::Relaxed);
    }
}
