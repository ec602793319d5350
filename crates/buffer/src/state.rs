use std::collections::HashMap;
use std::hash::Hash;
use std::task::{Poll, Waker};
use std::time::Instant;

use crate::batch::Batch;
use crate::index::{Index, LaneId};
use crate::lane::{Cut, Lane};
use crate::takers::Takers;
use crate::{JoinLimit, Policy, Reason, Weight};

/// All the lanes, behind the one mutex of [`Lanes`](crate::Lanes). Every change is followed by [`settle`](Self::settle).
pub(crate) struct State<K, T> {
    pub(crate) policy: Policy,
    pub(crate) takers: Takers,
    pub(crate) closed: bool,
    /// How many [`Pressure`](crate::Pressure)s live.
    pub(crate) pressure: usize,
    pub(crate) waiting: Weight,
    pub(crate) waiting_items: usize,
    pub(crate) out: Weight,
    batches_out: usize,
    ids: HashMap<K, LaneId>,
    lanes: HashMap<LaneId, Lane<K, T>>,
    index: Index,
    next_id: LaneId,
}

impl<K: Clone + Eq + Hash, T> State<K, T> {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            takers: Takers::default(),
            closed: false,
            pressure: 0,
            waiting: Weight::ZERO,
            waiting_items: 0,
            out: Weight::ZERO,
            batches_out: 0,
            ids: HashMap::new(),
            lanes: HashMap::new(),
            index: Index::default(),
            next_id: 0,
        }
    }

    pub(crate) fn push(&mut self, key: K, item: T, weight: Weight, now: Instant) {
        let id = self.lane_id(key);
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.push(item, weight, now);
        self.waiting = self.waiting.add(weight);
        self.waiting_items += 1;
        self.place(id);
    }

    pub(crate) fn poll_take(
        &mut self,
        place: &mut Option<u64>,
        now: Instant,
        waker: Waker,
    ) -> (Poll<Option<Batch<K, T>>>, Option<Waker>) {
        let batch = self.take(now);
        if batch.is_some() || self.is_finished() {
            let left = place.take().and_then(|ticket| self.takers.leave(ticket));
            return (Poll::Ready(batch), left);
        }
        let (ticket, replaced) = self.takers.wait(*place, waker, self.index.deadline());
        *place = Some(ticket);
        (Poll::Pending, replaced)
    }

    /// The next due lane's batch.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Batch<K, T>> {
        self.index.promote_aged(now);
        let limit = self.policy;
        if let Some(id) = self.index.next_ready() {
            return self.check_out(id, &limit, Reason::Joined);
        }
        let id = if self.is_pressed() { self.index.largest() } else { None };
        self.check_out(id?, &limit, Reason::Pressure)
    }

    /// Further lanes for a commit that is being made anyway: due ones in their turn, then the oldest.
    pub(crate) fn take_more(&mut self, now: Instant, limit: JoinLimit) -> Vec<Batch<K, T>> {
        self.index.promote_aged(now);
        let (mut batches, mut room) = (Vec::new(), limit);
        while batches.len() < limit.lanes {
            let next =
                self.index.next_ready().or_else(|| self.index.oldest()).or_else(|| self.index.largest());
            let Some(id) = next else { break };
            let first = self.lanes.get(&id).and_then(Lane::first_weight).unwrap_or(Weight::ZERO);
            if first.rows > room.rows || first.bytes > room.bytes {
                break;
            }
            let cut_limit = Policy {
                rows_max: self.policy.rows_max.min(room.rows),
                bytes_max: self.policy.bytes_max.min(room.bytes),
                ..self.policy
            };
            let Some(batch) = self.check_out(id, &cut_limit, Reason::Joined) else { break };
            room.rows = room.rows.saturating_sub(batch.cut.weight.rows);
            room.bytes = room.bytes.saturating_sub(batch.cut.weight.bytes);
            batches.push(batch);
        }
        batches
    }

    /// The batch is done with; its lane may be taken again.
    pub(crate) fn complete(&mut self, id: LaneId, weight: Weight) {
        self.batches_out -= 1;
        self.out = self.out.sub(weight);
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.out = false;
        }
        self.place(id);
    }

    /// The batch failed: back to the front of its lane, or back to the caller when the lane was removed meanwhile.
    pub(crate) fn give_back(&mut self, id: LaneId, generation: u64, cut: Cut<T>) -> Result<(), Vec<T>> {
        let (weight, items) = (cut.weight, cut.items.len());
        let kept = match self.lanes.get_mut(&id) {
            Some(lane) if lane.generation == generation => {
                lane.restore(cut);
                self.waiting = self.waiting.add(weight);
                self.waiting_items += items;
                Ok(())
            }
            _ => Err(cut.items),
        };
        self.complete(id, weight);
        kept
    }

    pub(crate) fn flush(&mut self, key: &K) {
        if let Some(&id) = self.ids.get(key) {
            self.flush_lane(id);
        }
    }

    pub(crate) fn flush_all(&mut self) {
        for id in self.ids_in_order() {
            self.flush_lane(id);
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Vec<T> {
        let Some(&id) = self.ids.get(key) else { return Vec::new() };
        let Some(lane) = self.lanes.get_mut(&id) else { return Vec::new() };
        self.waiting = self.waiting.sub(lane.weight);
        let items = lane.clear();
        self.waiting_items -= items.len();
        self.place(id);
        items
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        for id in self.ids_in_order() {
            self.place(id);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.index.deadline()
    }

    pub(crate) fn lane_count(&self) -> usize {
        self.lanes.len()
    }

    /// Restores the rule that no taker sleeps past its work. Returns the wakers to call once the lock is released.
    pub(crate) fn settle(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        if self.takers.is_idle() {
            return woken;
        }
        if self.is_finished() {
            self.takers.wake_all(&mut woken);
        }
        if let Some(deadline) = self.index.deadline() {
            self.takers.wake_told_later(deadline, &mut woken);
        }
        let due = self.index.ready_count() + usize::from(self.is_pressed());
        self.takers.wake_up_to(due, &mut woken);
        woken
    }

    /// Nothing waits, nothing is out that could come back, and nothing will be pushed.
    fn is_finished(&self) -> bool {
        self.closed && self.lanes.is_empty()
    }

    /// Whether memory is wanted and what is out already would not free at least half of it.
    fn is_pressed(&self) -> bool {
        self.pressure > 0
            && !self.index.is_empty()
            && (self.batches_out == 0 || self.out.bytes < self.waiting.bytes)
    }

    fn check_out(&mut self, id: LaneId, limit: &Policy, otherwise: Reason) -> Option<Batch<K, T>> {
        let lane = self.lanes.get_mut(&id)?;
        let ready = self.index.leave(id);
        let reason = self.policy.full(lane.weight).or(ready).unwrap_or(otherwise);
        let cut = lane.cut(limit);
        lane.out = true;
        self.waiting = self.waiting.sub(cut.weight);
        self.waiting_items -= cut.items.len();
        self.out = self.out.add(cut.weight);
        self.batches_out += 1;
        Some(Batch { id, generation: lane.generation, key: lane.key.clone(), cut, reason })
    }

    fn flush_lane(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.flush();
            self.place(id);
        }
    }

    /// Puts the lane where it now belongs: out of the map when idle, into the index when it can be taken,
    /// into the round robin when it is due.
    fn place(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else { return };
        if lane.out {
            return;
        }
        if lane.is_empty() {
            self.index.leave(id);
            if let Some(lane) = self.lanes.remove(&id) {
                self.ids.remove(&lane.key);
            }
            return;
        }
        if self.index.contains(id) {
            self.index.resize(id, lane.weight.bytes);
        } else {
            let deadline = lane.oldest().and_then(|at| at.checked_add(self.policy.age_max));
            self.index.enter(id, lane.weight.bytes, deadline);
        }
        if let Some(reason) = self.due(lane) {
            self.index.make_ready(id, reason);
        }
    }

    /// Why the lane is due whatever the time, if it is.
    fn due(&self, lane: &Lane<K, T>) -> Option<Reason> {
        let flush = lane.wants_flush().then_some(Reason::Flush);
        let close = self.closed.then_some(Reason::Close);
        self.policy.full(lane.weight).or(flush).or(close)
    }

    fn lane_id(&mut self, key: K) -> LaneId {
        if let Some(&id) = self.ids.get(&key) {
            return id;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.lanes.insert(id, Lane::new(key.clone()));
        self.ids.insert(key, id);
        id
    }

    /// Lanes in the order in which they appeared, so that a run can be repeated.
    fn ids_in_order(&self) -> Vec<LaneId> {
        let mut ids: Vec<_> = self.lanes.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}
