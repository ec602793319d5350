use std::collections::VecDeque;
use std::time::Instant;

use crate::{Policy, Weight};

/// One key's items in order, and what is known of those that a taker has out.
pub(crate) struct Lane<K, T> {
    pub(crate) key: K,
    /// A batch is out; until it is settled the lane is nobody else's.
    pub(crate) out: bool,
    /// Counts removals, so that a batch taken before one is not put back after it.
    pub(crate) generation: u64,
    /// What waits here, without what is out.
    pub(crate) weight: Weight,
    queue: VecDeque<Entry<T>>,
    /// Number, within the lane, of the first item that waits. Items given back get their numbers back.
    first: u64,
    /// A flush asked for every item with a number below this.
    flush_below: u64,
}

/// What the lane remembers of an item while a taker has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) weight: Weight,
    pub(crate) at: Instant,
}

/// The front of a lane, cut off as a batch.
pub(crate) struct Cut<T> {
    pub(crate) items: Vec<T>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) weight: Weight,
}

struct Entry<T> {
    item: T,
    mark: Mark,
}

impl<K, T> Lane<K, T> {
    pub(crate) fn new(key: K) -> Self {
        Self {
            key,
            out: false,
            generation: 0,
            weight: Weight::ZERO,
            queue: VecDeque::new(),
            first: 0,
            flush_below: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// When the item in front came; as the lane is in order, none came earlier.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.queue.front().map(|entry| entry.mark.at)
    }

    pub(crate) fn first_weight(&self) -> Option<Weight> {
        self.queue.front().map(|entry| entry.mark.weight)
    }

    pub(crate) fn push(&mut self, item: T, weight: Weight, now: Instant) {
        self.weight = self.weight.add(weight);
        self.queue.push_back(Entry { item, mark: Mark { weight, at: now } });
    }

    pub(crate) fn flush(&mut self) {
        self.flush_below = self.first + self.queue.len() as u64;
    }

    pub(crate) fn wants_flush(&self) -> bool {
        !self.queue.is_empty() && self.first < self.flush_below
    }

    /// Cuts a batch off the front: never more than `limit` unless its first item alone is.
    pub(crate) fn cut(&mut self, limit: &Policy) -> Cut<T> {
        let mut cut = Cut { items: Vec::new(), marks: Vec::new(), weight: Weight::ZERO };
        while let Some(next) = self.first_weight() {
            let sum = cut.weight.add(next);
            if !cut.items.is_empty() && (sum.rows > limit.rows_max || sum.bytes > limit.bytes_max) {
                break;
            }
            let Some(Entry { item, mark }) = self.queue.pop_front() else { break };
            cut.items.push(item);
            cut.marks.push(mark);
            cut.weight = sum;
        }
        self.first += cut.items.len() as u64;
        self.weight = self.weight.sub(cut.weight);
        cut
    }

    /// Puts a batch back where it was cut off.
    pub(crate) fn restore(&mut self, cut: Cut<T>) {
        self.first -= cut.items.len() as u64;
        self.weight = self.weight.add(cut.weight);
        for (item, mark) in cut.items.into_iter().zip(cut.marks).rev() {
            self.queue.push_front(Entry { item, mark });
        }
    }

    /// Empties the lane; a batch that is out does not come back to it.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        self.generation += 1;
        self.first += self.queue.len() as u64;
        self.weight = Weight::ZERO;
        self.queue.drain(..).map(|entry| entry.item).collect()
    }
}
