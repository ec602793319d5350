use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use standpipe_buffer::{Budget, Buffer, Permit, Policy};
use standpipe_core::{LaneId, StreamId, Target};
use tokio::sync::Notify;

use crate::{
    Events, Settings, SinkError,
    item::Item,
    stream::{LaneState, StreamState},
};

/// What every part of a sink works on.
pub(crate) struct Shared {
    /// Tells this sink's streams from another's.
    pub(crate) id: u64,
    pub(crate) settings: Settings,
    pub(crate) target: Arc<dyn Target>,
    pub(crate) events: Arc<dyn Events>,
    /// Rows between the dispatcher and the workers, and the memory for them.
    pub(crate) buffer: Buffer<LaneId, Item>,
    /// Memory for rows on their way to the log.
    pub(crate) log_budget: Budget,
    /// Rung after every commit and every failure.
    pub(crate) committed: Notify,
    /// Held while a stream is claimed, so that one is not claimed twice.
    pub(crate) registering: tokio::sync::Mutex<()>,
    /// The log is too full to note where its idle lanes stand: the dispatcher is to move them to where it is.
    pub(crate) lift_idle: AtomicBool,
    streams: Mutex<BTreeMap<u32, Arc<StreamState>>>,
    /// Streams that no log names count down from the top: they never meet the log's numbers.
    next_unlogged: AtomicU32,
    failure: OnceLock<SinkError>,
    /// Rows in committed dead letters, and rows in commits.
    pub(crate) dead_lettered: AtomicU64,
    pub(crate) rows_seen: AtomicU64,
}

impl Shared {
    pub(crate) fn new(settings: Settings, target: Arc<dyn Target>, events: Arc<dyn Events>) -> Self {
        static SINKS: AtomicU64 = AtomicU64::new(0);
        let policy = Policy {
            rows_max: settings.batch_rows_max,
            bytes_max: settings.batch_bytes(),
            age_max: settings.flush_after,
        };
        Shared {
            id: SINKS.fetch_add(1, Ordering::Relaxed),
            // What waits for the log is soon done with: nobody is held back before it is full.
            log_budget: Budget::with_soft(settings.log_share_bytes(), settings.log_share_bytes()),
            buffer: Buffer::new(policy, Budget::new(settings.target_share_bytes())),
            settings,
            target,
            events,
            committed: Notify::new(),
            registering: tokio::sync::Mutex::default(),
            lift_idle: AtomicBool::new(false),
            streams: Mutex::new(BTreeMap::new()),
            next_unlogged: AtomicU32::new(u32::MAX),
            failure: OnceLock::new(),
            dead_lettered: AtomicU64::new(0),
            rows_seen: AtomicU64::new(0),
        }
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<StreamState>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_stream(&self, stream: Arc<StreamState>) {
        self.streams().insert(stream.number, stream);
    }

    pub(crate) fn next_unlogged(&self) -> u32 {
        self.next_unlogged.fetch_sub(1, Ordering::Relaxed)
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

    /// Every lane whose positions are numbers of the log.
    pub(crate) fn logged_lanes(&self) -> Vec<Arc<LaneState>> {
        let streams = self.streams();
        streams
            .values()
            .filter(|stream| stream.logged)
            .flat_map(|stream| stream.lanes.iter().cloned())
            .collect()
    }

    /// Why the sink stopped, if it did.
    pub(crate) fn failure(&self) -> Option<SinkError> {
        self.failure.get().cloned()
    }

    /// Why the first of the streams that stopped did.
    pub(crate) fn stream_failure(&self) -> Option<SinkError> {
        let streams = self.streams();
        streams.values().find_map(|stream| {
            let cause = Arc::new(stream.failure()?);
            Some(SinkError::Stream { stream: stream.id.clone(), cause })
        })
    }

    /// Stops the whole sink for good. The first reason stays.
    pub(crate) fn fail(&self, error: SinkError) {
        tracing::error!(%error, "the sink stops");
        let _ = self.failure.set(error);
        let error = self.failure().unwrap_or(SinkError::Closed);
        self.fail_streams(&error);
        self.refuse();
        self.committed.notify_waiters();
    }

    /// Ends every wait for a stream with this reason.
    pub(crate) fn fail_streams(&self, error: &SinkError) {
        for stream in self.streams().values() {
            stream.fail(error);
        }
    }

    /// Takes nothing more.
    pub(crate) fn refuse(&self) {
        self.log_budget.close();
        self.buffer.close();
    }

    /// Stops one stream for good; the others go on.
    ///
    /// Call it before a batch that failed leaves its lane: whoever takes the next one sees that the lane stopped, and does
    /// not apply it over the gap.
    pub(crate) fn fail_stream(&self, number: u32, error: &SinkError) {
        let Some(stream) = self.stream(number) else { return };
        tracing::error!(stream = %stream.id, %error, "the stream stops");
        stream.fail(error);
        for lane in &stream.lanes {
            self.buffer.discard(&lane.id);
        }
        self.committed.notify_waiters();
    }

    /// Memory for rows on their way to the target.
    pub(crate) fn budget(&self) -> &Budget {
        self.buffer.budget()
    }

    pub(crate) fn check_alive(&self) -> Result<(), SinkError> {
        self.failure().map_or(Ok(()), Err)
    }

    /// Puts an item into its lane. The order of calls is the order of the lane. A sink that stops takes nothing: what is not
    /// applied is in the log, or still in its source.
    pub(crate) fn enqueue(&self, item: Item, permit: Permit) -> Result<(), SinkError> {
        let (lane, records, rows) = (item.lane.clone(), item.records(), item.entries());
        lane.queued(item.end, records, rows);
        let (key, since) = (lane.id.clone(), item.since);
        self.buffer.push_with(key, item, permit, since).map_err(|_| {
            lane.unqueued(records, rows);
            self.failure().unwrap_or(SinkError::Closed)
        })
    }

    pub(crate) fn count_applied(&self, rows: u64, dead_lettered: u64) {
        self.rows_seen.fetch_add(rows + dead_lettered, Ordering::Relaxed);
        self.dead_lettered.fetch_add(dead_lettered, Ordering::Relaxed);
    }
}
