use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use crate::Reason;

pub(crate) type LaneId = u64;

/// Which lanes can be taken, by what makes them worth taking.
///
/// Holds exactly the lanes that have items and no batch out. A lane that is ready has no deadline any more.
#[derive(Default)]
pub(crate) struct Index {
    places: HashMap<LaneId, Place>,
    /// Due lanes in the order in which they became due: the round robin.
    ready: BTreeMap<u64, LaneId>,
    /// Lanes not yet due, by the moment at which their oldest item makes them so.
    aged: BTreeSet<(Instant, LaneId)>,
    /// All lanes, by bytes.
    sized: BTreeSet<(u64, LaneId)>,
    next_turn: u64,
}

struct Place {
    bytes: u64,
    deadline: Option<Instant>,
    ready: Option<(u64, Reason)>,
}

impl Index {
    pub(crate) fn enter(&mut self, id: LaneId, bytes: u64, deadline: Option<Instant>) {
        self.sized.insert((bytes, id));
        if let Some(at) = deadline {
            self.aged.insert((at, id));
        }
        self.places.insert(id, Place { bytes, deadline, ready: None });
    }

    /// Takes the lane out; returns why it was ready, if it was.
    pub(crate) fn leave(&mut self, id: LaneId) -> Option<Reason> {
        let place = self.places.remove(&id)?;
        self.sized.remove(&(place.bytes, id));
        if let Some(at) = place.deadline {
            self.aged.remove(&(at, id));
        }
        let (turn, reason) = place.ready?;
        self.ready.remove(&turn);
        Some(reason)
    }

    pub(crate) fn contains(&self, id: LaneId) -> bool {
        self.places.contains_key(&id)
    }

    pub(crate) fn resize(&mut self, id: LaneId, bytes: u64) {
        if let Some(place) = self.places.get_mut(&id) {
            self.sized.remove(&(place.bytes, id));
            self.sized.insert((bytes, id));
            place.bytes = bytes;
        }
    }

    /// Gives the lane its turn, unless it has one.
    pub(crate) fn make_ready(&mut self, id: LaneId, reason: Reason) {
        let Some(place) = self.places.get_mut(&id) else { return };
        if place.ready.is_some() {
            return;
        }
        if let Some(at) = place.deadline.take() {
            self.aged.remove(&(at, id));
        }
        place.ready = Some((self.next_turn, reason));
        self.ready.insert(self.next_turn, id);
        self.next_turn += 1;
    }

    /// Gives a turn to every lane whose deadline has come, the oldest first.
    pub(crate) fn promote_aged(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.aged.first()
            && at <= now
        {
            self.make_ready(id, Reason::Age);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.aged.first().map(|&(at, _)| at)
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn next_ready(&self) -> Option<LaneId> {
        self.ready.first_key_value().map(|(_, &id)| id)
    }

    pub(crate) fn oldest(&self) -> Option<LaneId> {
        self.aged.first().map(|&(_, id)| id)
    }

    pub(crate) fn largest(&self) -> Option<LaneId> {
        self.sized.last().map(|&(_, id)| id)
    }
}
