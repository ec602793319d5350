//! Lanes that were empty for long are forgotten.

use std::hash::Hash;

use super::{KEPT, ROOMY, Schedule};
use crate::index::LaneId;
use crate::lane::Lane;
use crate::sync::Arc;

impl<K: Clone + Eq + Hash, T> Schedule<K, T> {
    /// The next lane that was empty for long, for the caller to see whether a producer holds it.
    pub(crate) fn next_vacant(&mut self) -> Option<LaneId> {
        while let Some(&(since, id)) = self.idle.front() {
            if self.now.saturating_duration_since(since) < KEPT {
                return None;
            }
            self.idle.pop_front();
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if !entry.is_idle {
                entry.is_listed = false;
            } else if entry.reader.is_none() {
                self.idle.push_back((self.now, id));
            } else if self.now.saturating_duration_since(entry.idle_since) < KEPT {
                self.idle.push_back((entry.idle_since, id));
            } else {
                return Some(id);
            }
        }
        None
    }

    pub(crate) fn lane_of(&self, id: LaneId) -> Option<&Arc<Lane<K, T>>> {
        self.entries.get(&id).map(|entry| &entry.lane)
    }

    /// Forgets a lane, or keeps it for another while.
    pub(crate) fn vacate(&mut self, id: LaneId, is_gone: bool) {
        if is_gone {
            self.entries.remove(&id);
        } else {
            self.idle.push_back((self.now, id));
        }
    }

    /// Lets go of room that a burst took.
    pub(crate) fn shrink(&mut self) {
        let wanted = ROOMY + 2 * self.entries.len();
        self.entries.shrink_to(wanted);
        self.idle.shrink_to(wanted);
        self.posted.shrink_to(wanted);
        self.relief.shrink_to(wanted);
        self.index.shrink_to(wanted);
    }
}
