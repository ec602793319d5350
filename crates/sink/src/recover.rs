use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use standpipe_core::{ClaimRequest, Schema, SchemaId, SourceId, Window};
use standpipe_log::{Log, Lsn};

use crate::{
    DeadLetters, SinkError,
    pins::{self, Floor, Pin, StreamPin},
    shared::Shared,
    stream::StreamState,
};

/// The schemas that the log's blocks name. Shared by writers, who pin new ones, and the dispatcher.
#[derive(Clone, Default)]
pub(crate) struct Schemas(Arc<Mutex<HashMap<SchemaId, Arc<Schema>>>>);

impl Schemas {
    pub(crate) fn insert(&self, schema: Arc<Schema>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(schema.id(), schema);
    }

    pub(crate) fn contains(&self, id: SchemaId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// A schema by its id, from memory or from the log's pins.
    pub(crate) fn find<L: Log>(&self, log: &L, id: SchemaId) -> Option<Arc<Schema>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = known.get(&id) {
            return Some(schema.clone());
        }
        let key = pins::schema_key(id);
        let (_, value) = log.pinned().into_iter().find(|(pinned, _)| *pinned == key)?;
        let schema = Arc::new(Schema::decode(&value).ok()?);
        known.insert(id, schema.clone());
        Some(schema)
    }
}

/// What the log remembers of former lives.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) streams: BTreeMap<u32, StreamPin>,
    pub(crate) floors: BTreeMap<(u32, u32), Floor>,
    pub(crate) schemas: Schemas,
}

impl Memory {
    pub(crate) fn read<L: Log>(log: &L) -> Result<Self, SinkError> {
        let mut memory = Memory::default();
        for (key, value) in log.pinned() {
            match pins::decode(&key, &value)? {
                Pin::Stream(number, stream) => {
                    memory.streams.insert(number, stream);
                }
                Pin::Schema(_, schema) => memory.schemas.insert(Arc::new(schema)),
                Pin::Floor { stream, lane, floor } => {
                    memory.floors.insert((stream, lane), floor);
                }
            }
        }
        Ok(memory)
    }

    /// Claims a stream whose positions are numbers of this log. `lanes` is what is asked for where that is not known yet.
    pub(crate) async fn claim<L: Log>(
        &self,
        shared: &Shared,
        log: &L,
        number: u32,
        stream: &StreamPin,
        lanes: Option<u32>,
    ) -> Result<StreamState, SinkError> {
        let source = source_of(log)?;
        let floors = self.floors.range((number, 0)..=(number, u32::MAX)).map(|((_, lane), at)| (*lane, *at));
        let floors: Vec<_> = floors.collect();
        let start = kept_from(log, stream.origin);
        let request = ClaimRequest {
            stream: stream.id.clone(),
            lanes,
            source,
            window: Window {
                // Nothing of a stream lies below its origin, so a log that still has its origin can serve it from anywhere.
                start: if start <= stream.origin { 0 } else { start },
                // A ledger may be ahead of a log that was allowed to lose its tail; `advance_to` then lifts the log.
                end: u64::MAX,
                // What was vouched for ends above the log's start, or it says nothing about what was removed since.
                floors: floors
                    .iter()
                    .filter(|(_, at)| at.end >= start)
                    .map(|(lane, at)| (*lane, at.position))
                    .collect(),
            },
            origin: stream.origin,
            reopen: true,
            owner: shared.settings.owner.clone(),
        };
        let claims = shared.target.claim(&request).await?;
        for claim in &claims {
            log.advance_to(Lsn::new(claim.position))?;
            trim_dead_letters(shared, &claim.lane, claim.position).await?;
        }
        let destination = Arc::new(stream.destination.clone());
        StreamState::new(shared.id, number, true, destination, claims, &floors)
            .ok_or_else(|| SinkError::Invalid(format!("the target gave no lanes for stream {}", stream.id)))
    }
}

/// The number from which on the log has let go of nothing, `origin` at the lowest. Its first record may be far above: numbers
/// are skipped that a crash may have lost, and records that found no room never were.
fn kept_from<L: Log>(log: &L, origin: u64) -> u64 {
    let is_kept = |from: u64| log.follow(Lsn::new(from)).is_ok();
    let (mut gone, mut kept) = (origin, log.start().number());
    if kept <= origin || is_kept(origin) {
        return origin;
    }
    while kept - gone > 1 {
        let middle = gone + (kept - gone) / 2;
        if is_kept(middle) {
            kept = middle;
        } else {
            gone = middle;
        }
    }
    kept
}

pub(crate) async fn trim_dead_letters(
    shared: &Shared,
    lane: &standpipe_core::LaneId,
    from_position: u64,
) -> Result<(), SinkError> {
    if let DeadLetters::Store(store) = &shared.settings.dead_letters {
        store.trim(lane, from_position).await?;
    }
    Ok(())
}

/// What a ledger knows a log by.
pub(crate) fn source_of<L: Log>(log: &L) -> Result<SourceId, SinkError> {
    Ok(SourceId::new(format!("log:{}", log.identity()))?)
}
