//! Which lanes are taken because memory is short.

use std::hash::Hash;

use super::Schedule;
use crate::Weight;
use crate::index::LaneId;
use crate::planted::{self, Plant};

impl<K: Clone + Eq + Hash, T> Schedule<K, T> {
    pub(super) fn largest(&self) -> Option<LaneId> {
        self.index.takeable().max_by_key(|&id| (self.waiting_in(id).bytes, id))
    }

    pub(super) fn waiting_in(&self, id: LaneId) -> Weight {
        self.entries.get(&id).map_or(Weight::ZERO, |entry| entry.lane.waiting())
    }

    /// The next lane that is taken because memory is short: the largest first, until what is out weighs as much as
    /// what waits. One look over the lanes serves a whole round.
    pub(super) fn next_relief(&mut self, is_pressed: bool) -> Option<LaneId> {
        if !is_pressed {
            self.relief.clear();
            return None;
        }
        self.plan_relief();
        self.relief.pop()
    }

    /// Plans the next round of relief, if there is none left of this one.
    pub(super) fn plan_relief(&mut self) {
        while let Some(&id) = self.relief.last() {
            if self.index.is_takeable(id) {
                return;
            }
            self.relief.pop();
        }
        // More is out than can wait: known without a look at the lanes, which each push under pressure would have to take.
        let is_enough_out =
            self.batches_out > 0 && self.out.bytes >= self.held_bytes.saturating_sub(self.out.bytes);
        if self.index.is_empty() || is_enough_out {
            return;
        }
        #[cfg(test)]
        {
            self.looks += 1;
        }
        let mut waiting = 0_u64;
        let mut sizes = Vec::new();
        for (&id, entry) in &self.entries {
            let bytes = entry.lane.waiting().bytes;
            waiting = waiting.saturating_add(bytes);
            let is_open = self.policy.full(entry.lane.waiting()).is_none();
            if self.index.is_takeable(id) && !(planted::is(Plant::SkipsOpenLanes) && is_open) {
                sizes.push((bytes, id));
            }
        }
        let mut out = self.out.bytes;
        sizes.sort_unstable();
        let mut is_first = self.batches_out == 0;
        while let Some((bytes, id)) = sizes.pop()
            && (is_first || out < waiting)
        {
            is_first = false;
            out = out.saturating_add(bytes);
            waiting = waiting.saturating_sub(bytes);
            self.relief.push(id);
        }
        self.relief.reverse();
    }
}
