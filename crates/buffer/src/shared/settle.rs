//! How a batch ends.

use std::hash::Hash;

use super::Shared;
use crate::Weight;
use crate::budget::Panicked;
use crate::index::LaneId;
use crate::queue::Reader;
use crate::schedule::Ended;

impl<K: Clone + Eq + Hash, T> Shared<K, T> {
    /// Gives a lane back after its batch of `items` items. Returns whether a batch that came back was kept.
    pub(crate) fn settle(&self, id: LaneId, reader: Reader<K, T>, items: usize, ended: Ended) -> bool {
        // Whatever panics meanwhile, an item or a waker: the lane must be free in the end.
        let mut panicked = Panicked::default();
        let is_kept = self.settle_first(&mut panicked, id, reader, items, ended);
        panicked.go_on();
        is_kept
    }

    fn settle_first(
        &self,
        panicked: &mut Panicked,
        id: LaneId,
        reader: Reader<K, T>,
        items: usize,
        ended: Ended,
    ) -> bool {
        let mut held = Some(reader);
        let (mut ended, mut is_kept) = (ended, true);
        loop {
            let discard = self.change_first(panicked, |schedule| {
                let discard = schedule.discard_of(id, matches!(ended, Ended::Done));
                if discard.rows == 0 {
                    held.take().into_iter().for_each(|reader| schedule.settle(id, reader, ended));
                }
                discard
            });
            let Some(reader) = &mut held else { return is_kept };
            if let Ended::Back { .. } = ended {
                // Dropped as if it had been written: it is not wanted any more.
                let bytes = reader.walk(items).bytes();
                reader.consume(items, |item| panicked.catch(|| drop(item)));
                panicked.catch(|| reader.lane().release(bytes));
                (ended, is_kept) = (Ended::Done, false);
                continue;
            }
            let mut dropped = Weight::ZERO;
            while dropped.rows < discard.rows
                && let Some(entry) = reader.take_first()
            {
                dropped = dropped.add(entry.weight);
                panicked.catch(|| drop(entry.item));
            }
            let lane = reader.lane();
            self.change_first(panicked, |schedule| schedule.discarded(id, lane, dropped, discard));
            panicked.catch(|| lane.release(dropped.bytes));
        }
    }

    /// Drops what the lane holds: now, or when its batch that is out is settled.
    pub(crate) fn discard(&self, key: &K) {
        let Some(lane) = self.known(key) else { return };
        let mut panicked = Panicked::default();
        if let Some((id, reader)) = self.change_first(&mut panicked, |schedule| schedule.discard(&lane)) {
            self.settle_first(&mut panicked, id, reader, 0, Ended::Done);
        }
        panicked.go_on();
    }
}
