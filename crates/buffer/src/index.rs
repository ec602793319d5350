use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use crate::Reason;

pub(crate) type LaneId = u64;

/// Which lanes can be taken, by what makes them worth taking.
///
/// Holds exactly the lanes that have an item in front and no batch out. A lane that is ready has no deadline any more; one
/// that rests has nothing else.
#[derive(Default)]
pub(crate) struct Index {
    places: HashMap<LaneId, Place>,
    /// Due lanes in their turn.
    ready: BTreeMap<i64, LaneId>,
    /// Lanes not yet due, by the moment at which their oldest item makes them so.
    aged: BTreeSet<(Instant, LaneId)>,
    /// Lanes that are left alone until a moment.
    resting: BTreeSet<(Instant, LaneId)>,
    first_turn: i64,
    last_turn: i64,
}

enum Place {
    /// With the moment at which its oldest item makes it due, if there is one.
    Waits(Option<Instant>),
    Ready(i64, Reason),
    Rests(Instant),
}

impl Index {
    pub(crate) fn enter(&mut self, id: LaneId, deadline: Option<Instant>) {
        self.leave(id);
        if let Some(at) = deadline {
            self.aged.insert((at, id));
        }
        self.places.insert(id, Place::Waits(deadline));
    }

    /// Leaves the lane alone until then.
    pub(crate) fn rest(&mut self, id: LaneId, until: Instant) {
        self.leave(id);
        self.resting.insert((until, id));
        self.places.insert(id, Place::Rests(until));
    }

    /// Takes the lane out; returns why it was ready, if it was.
    pub(crate) fn leave(&mut self, id: LaneId) -> Option<Reason> {
        match self.places.remove(&id)? {
            Place::Waits(deadline) => {
                if let Some(at) = deadline {
                    self.aged.remove(&(at, id));
                }
                None
            }
            Place::Ready(turn, reason) => {
                self.ready.remove(&turn);
                Some(reason)
            }
            Place::Rests(until) => {
                self.resting.remove(&(until, id));
                None
            }
        }
    }

    pub(crate) fn shrink_to(&mut self, wanted: usize) {
        self.places.shrink_to(wanted);
    }

    pub(crate) fn contains(&self, id: LaneId) -> bool {
        self.places.contains_key(&id)
    }

    /// Gives the lane its turn, the last or the first, unless it has one.
    pub(crate) fn make_ready(&mut self, id: LaneId, reason: Reason, is_first: bool) {
        let Some(Place::Waits(deadline)) = self.places.get(&id) else { return };
        if let Some(at) = *deadline {
            self.aged.remove(&(at, id));
        }
        let turn = if is_first {
            self.first_turn -= 1;
            self.first_turn
        } else {
            self.last_turn += 1;
            self.last_turn
        };
        self.ready.insert(turn, id);
        self.places.insert(id, Place::Ready(turn, reason));
    }

    /// Moves a lane that is ready behind the others.
    pub(crate) fn pass_over(&mut self, id: LaneId) {
        if let Some(Place::Ready(turn, _)) = self.places.get_mut(&id) {
            self.ready.remove(turn);
            self.last_turn += 1;
            *turn = self.last_turn;
            self.ready.insert(*turn, id);
        }
    }

    /// The lane whose deadline came first, if it came by `now`.
    pub(crate) fn aged_by(&self, now: Instant) -> Option<LaneId> {
        self.aged.first().filter(|&&(at, _)| at <= now).map(|&(_, id)| id)
    }

    /// The lane whose rest ended first, if it ended by `now`.
    pub(crate) fn rested_by(&self, now: Instant) -> Option<LaneId> {
        self.resting.first().filter(|&&(at, _)| at <= now).map(|&(_, id)| id)
    }

    /// When the next lane becomes due by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let aged = self.aged.first().map(|&(at, _)| at);
        let rested = self.resting.first().map(|&(at, _)| at);
        aged.into_iter().chain(rested).min()
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Lanes that could be taken now, due or not.
    pub(crate) fn takeable(&self) -> impl Iterator<Item = LaneId> {
        self.places.iter().filter(|(_, place)| !matches!(place, Place::Rests(_))).map(|(&id, _)| id)
    }

    pub(crate) fn is_takeable(&self, id: LaneId) -> bool {
        matches!(self.places.get(&id), Some(Place::Waits(_) | Place::Ready(..)))
    }

    pub(crate) fn next_ready(&self) -> Option<LaneId> {
        self.ready.first_key_value().map(|(_, &id)| id)
    }

    pub(crate) fn oldest(&self) -> Option<LaneId> {
        self.aged.first().map(|&(_, id)| id)
    }
}
