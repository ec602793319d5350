//! Lanes that are told to drop what they hold.

use std::hash::Hash;

use super::Schedule;
use crate::Weight;
use crate::index::LaneId;
use crate::lane::Lane;
use crate::queue::Reader;
use crate::sync::{Arc, Ordering};

/// What a lane is to drop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Discard {
    pub(crate) rows: u64,
    before: u64,
}

impl<K: Clone + Eq + Hash, T> Schedule<K, T> {
    /// Marks what the lane holds as to be dropped. Returns its reader if nobody has it.
    pub(crate) fn discard(&mut self, lane: &Arc<Lane<K, T>>) -> Option<(LaneId, Reader<K, T>)> {
        let id = lane.id.load(Ordering::Relaxed);
        let entry = self.entries.get_mut(&id)?;
        entry.discard_before = entry.rows_known(lane);
        entry.rest_until = None;
        let reader = entry.reader.take()?;
        self.index.leave(id);
        self.batches_out += 1;
        Some((id, reader))
    }

    /// What the lane was told to drop and still has; behind its batch if that is done, with it if it comes back.
    pub(crate) fn discard_of(&self, id: LaneId, is_done: bool) -> Discard {
        let Some(entry) = self.entries.get(&id) else { return Discard { rows: 0, before: 0 } };
        let done = entry.done_rows.saturating_add(if is_done { entry.out.rows } else { 0 });
        Discard { rows: entry.discard_before.saturating_sub(done), before: entry.discard_before }
    }

    /// Items of `weight` behind the batch were dropped: all of `discard` that was there.
    pub(crate) fn discarded(&mut self, id: LaneId, lane: &Lane<K, T>, weight: Weight, discard: Discard) {
        lane.took(weight);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.done_rows = entry.done_rows.saturating_add(weight.rows);
            if entry.discard_before == discard.before {
                entry.discard_before = 0;
            }
        }
    }
}
