use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use serde::Serialize;
use standpipe_core::{Claim, Destination, LaneId, Schema, StreamId, TableName};
use tokio::sync::watch;

use crate::{Rows, SinkError, pins::Floor};

/// What a stream is: its name, where its rows go, and what they hold.
#[derive(Clone, Debug)]
pub struct StreamSpec {
    /// The name under which the stream keeps its place in the target's ledger.
    pub id: StreamId,
    /// The table, and what a row does to one with the same key.
    pub destination: Destination,
    /// The columns of the rows.
    pub schema: Arc<Schema>,
    /// The number of lanes, fixed when the stream is first claimed; `None` takes what it has, or 1.
    pub lanes: Option<u32>,
}

impl StreamSpec {
    /// A stream of plain inserts into `table`, with one lane and the table's name as its id.
    ///
    /// # Errors
    /// [`SinkError::Target`] when the name makes no stream id.
    pub fn append(table: &str, schema: Schema) -> Result<Self, SinkError> {
        Ok(StreamSpec {
            id: StreamId::new(table)?,
            destination: Destination::append(TableName::new(table)),
            schema: Arc::new(schema),
            lanes: None,
        })
    }
}

/// A claimed stream: makes rows for its table. Cheap to clone.
#[derive(Clone)]
pub struct Stream {
    pub(crate) state: Arc<StreamState>,
    pub(crate) schema: Arc<Schema>,
    pub(crate) block_bytes: u64,
}

impl Stream {
    /// The name in the ledger.
    #[must_use]
    pub fn id(&self) -> &StreamId {
        &self.state.id
    }

    /// The columns of the rows.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The number of lanes.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.state.lanes.len() as u32
    }

    /// The lane of a key: FNV-1a (64 bit) of its bytes, modulo the number of lanes. The same on every machine and in
    /// every version, so that a key never changes lane. An empty key is a key like any other.
    #[must_use]
    pub fn lane_of(&self, key: &[u8]) -> u32 {
        lane_of(key, self.lanes())
    }

    /// How far each lane is applied, and what the source remembered about it.
    #[must_use]
    pub fn positions(&self) -> Vec<(u64, String)> {
        self.state
            .lanes
            .iter()
            .map(|lane| {
                let claim = lane.claim();
                (claim.position, claim.source_position.clone())
            })
            .collect()
    }

    /// Encodes structs once, into blocks of the sink's size, all for lane 0 unless [`Rows::keyed`] says otherwise.
    /// Fields are matched to columns by name; a field that is missing is NULL.
    ///
    /// # Errors
    /// [`SinkError::Invalid`] for a field that is no column. A value that its column cannot hold is no error: the row
    /// travels as a rejected one and ends in the dead letters.
    pub fn rows<T: Serialize>(&self, rows: &[T]) -> Result<Rows, SinkError> {
        Rows::encode(self, rows)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", self.id()).field("lanes", &self.lanes()).finish_non_exhaustive()
    }
}

pub(crate) fn lane_of(key: &[u8], lanes: u32) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The low bits of FNV are its weak ones.
    ((hash ^ (hash >> 32)) % u64::from(lanes)) as u32
}

/// A stream as the sink keeps it.
pub(crate) struct StreamState {
    pub(crate) id: StreamId,
    /// The sink that claimed it.
    pub(crate) sink: u64,
    /// Its number in the log, or in this sink where no log names it.
    pub(crate) number: u32,
    /// Fed from the log, not by `write_at`.
    pub(crate) logged: bool,
    pub(crate) lanes: Vec<Arc<LaneState>>,
    /// Held by a write from its first wait to its last row: writes take their turns in the order in which they were called.
    pub(crate) turn: tokio::sync::Mutex<()>,
    failure: Arc<OnceLock<SinkError>>,
}

impl StreamState {
    /// `floors` are those that the log holds, by lane.
    pub(crate) fn new(
        sink: u64,
        number: u32,
        logged: bool,
        destination: Arc<Destination>,
        claims: Vec<Claim>,
        floors: &[(u32, Floor)],
    ) -> Option<Self> {
        let id = claims.first()?.lane.stream.clone();
        let failure = Arc::new(OnceLock::new());
        let lane = |claim: Claim| {
            let floor = floors.iter().find(|(lane, _)| *lane == claim.lane.lane).map(|(_, floor)| *floor);
            Arc::new(LaneState::new(number, destination.clone(), claim, floor, failure.clone()))
        };
        let lanes = claims.into_iter().map(lane).collect();
        Some(StreamState { id, sink, number, logged, lanes, turn: tokio::sync::Mutex::default(), failure })
    }

    /// Why the stream stopped, if it did.
    pub(crate) fn failure(&self) -> Option<SinkError> {
        self.failure.get().cloned()
    }

    /// Stops the stream for good. The first reason stays.
    pub(crate) fn fail(&self, error: &SinkError) {
        let _ = self.failure.set(error.clone());
        for lane in &self.lanes {
            lane.progress.send_modify(|progress| progress.failed = true);
        }
    }
}

/// How far a lane has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Everything below is applied.
    pub(crate) position: u64,
    /// The source has ended here.
    pub(crate) complete: bool,
    pub(crate) failed: bool,
}

/// One lane: its claim, and who waits for it.
pub(crate) struct LaneState {
    pub(crate) id: LaneId,
    /// The stream's number.
    pub(crate) stream_number: u32,
    pub(crate) destination: Arc<Destination>,
    claim: Mutex<Claim>,
    pub(crate) progress: watch::Sender<Progress>,
    /// The end of the last rows that were put into the lane.
    queued_end: AtomicU64,
    /// Records that were put into the lane and are not applied, and their rows.
    waiting_records: AtomicU64,
    waiting_rows: AtomicU64,
    /// The floor that the log holds for the lane.
    floor: Mutex<Option<Floor>>,
    /// A store beside the target holds letters whose commit is not known to have happened.
    letters_kept: AtomicBool,
    failure: Arc<OnceLock<SinkError>>,
}

impl LaneState {
    fn new(
        stream_number: u32,
        destination: Arc<Destination>,
        claim: Claim,
        floor: Option<Floor>,
        failure: Arc<OnceLock<SinkError>>,
    ) -> Self {
        let progress = Progress { position: claim.position, complete: false, failed: false };
        LaneState {
            id: claim.lane.clone(),
            stream_number,
            destination,
            queued_end: AtomicU64::new(claim.position),
            waiting_records: AtomicU64::new(0),
            waiting_rows: AtomicU64::new(0),
            floor: Mutex::new(floor),
            letters_kept: AtomicBool::new(false),
            claim: Mutex::new(claim),
            progress: watch::Sender::new(progress),
            failure,
        }
    }

    /// The claim as of now. Held for the time of a copy only.
    pub(crate) fn claim(&self) -> MutexGuard<'_, Claim> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn position(&self) -> u64 {
        self.progress.borrow().position
    }

    /// Why the lane takes nothing more, if it does not.
    pub(crate) fn failure(&self) -> Option<SinkError> {
        self.progress.borrow().failed.then(|| self.failure.get().cloned().unwrap_or(SinkError::Closed))
    }

    pub(crate) fn queued_end(&self) -> u64 {
        self.queued_end.load(Ordering::Acquire)
    }

    /// An item is put into the lane, or would have been if the stream had not stopped.
    pub(crate) fn queued(&self, end: u64, records: u64, rows: u64) {
        self.waiting_records.fetch_add(records, Ordering::Relaxed);
        self.waiting_rows.fetch_add(rows, Ordering::Relaxed);
        self.queued_end.store(end, Ordering::Release);
    }

    /// Items are applied, or were not taken after all.
    pub(crate) fn unqueued(&self, records: u64, rows: u64) {
        self.waiting_records.fetch_sub(records, Ordering::Relaxed);
        self.waiting_rows.fetch_sub(rows, Ordering::Relaxed);
    }

    /// Records that are not applied.
    pub(crate) fn waiting_records(&self) -> u64 {
        self.waiting_records.load(Ordering::Relaxed)
    }

    /// Their rows.
    pub(crate) fn waiting_rows(&self) -> u64 {
        self.waiting_rows.load(Ordering::Relaxed)
    }

    /// Whether something of the lane is queued, or waits behind a failure.
    pub(crate) fn is_outstanding(&self) -> bool {
        let progress = *self.progress.borrow();
        progress.failed || self.queued_end() > progress.position
    }

    /// Whether something of the lane is queued that will be applied if nothing fails.
    pub(crate) fn is_moving(&self) -> bool {
        let progress = *self.progress.borrow();
        !progress.failed && self.queued_end() > progress.position
    }

    /// Below this number of the log nothing of the lane is missing in its table: its position, or what its floor vouches for.
    pub(crate) fn vouched(&self) -> u64 {
        let position = self.position();
        let floor = *self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        floor.filter(|known| known.position == position).map_or(position, |known| known.end)
    }

    pub(crate) fn set_floor(&self, floor: Floor) {
        *self.floor.lock().unwrap_or_else(PoisonError::into_inner) = Some(floor);
    }

    /// Letters go to a store before their commit. Returns whether some are there already from an attempt that failed.
    pub(crate) fn letters_kept(&self) -> bool {
        self.letters_kept.swap(true, Ordering::Relaxed)
    }

    /// The commit is done: the claim moves, and whoever waited learns of it.
    pub(crate) fn applied(&self, position: u64, source_position: &str, complete: bool) {
        {
            let mut claim = self.claim();
            claim.position = position;
            source_position.clone_into(&mut claim.source_position);
        }
        self.letters_kept.store(false, Ordering::Relaxed);
        self.progress.send_modify(|progress| {
            progress.position = position;
            progress.complete = complete;
        });
    }

    /// Waits until everything below `position` is applied.
    pub(crate) async fn wait_applied(&self, position: u64) -> Result<(), SinkError> {
        self.wait(|now| now.position >= position).await
    }

    /// Waits until the ledger says that the source ended here.
    pub(crate) async fn wait_complete(&self) -> Result<(), SinkError> {
        self.wait(|now| now.complete).await
    }

    async fn wait(&self, reached: impl Fn(&Progress) -> bool) -> Result<(), SinkError> {
        let mut progress = self.progress.subscribe();
        let seen = progress.wait_for(|now| now.failed || reached(now)).await;
        match seen.map(|now| reached(&now)) {
            Ok(true) => Ok(()),
            _ => Err(self.stopped()),
        }
    }

    /// What those get who wait for a lane that stopped.
    pub(crate) fn stopped(&self) -> SinkError {
        let cause = self.failure.get().cloned().unwrap_or(SinkError::Closed);
        SinkError::Stream { stream: self.id.stream.clone(), cause: Arc::new(cause) }
    }
}

#[cfg(test)]
mod tests {
    use super::lane_of;

    #[test]
    fn a_key_never_changes_lane_between_versions() {
        let lanes: Vec<u32> =
            ["", "acme", "umbrella", "initech", "hooli"].map(|key| lane_of(key.as_bytes(), 8)).to_vec();
        assert_eq!(lanes, [1, 4, 3, 4, 4]);
    }

    #[test]
    fn keys_spread_over_the_lanes() {
        let mut counts = [0u32; 8];
        for key in 0..8000u32 {
            counts[lane_of(&key.to_be_bytes(), 8) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
