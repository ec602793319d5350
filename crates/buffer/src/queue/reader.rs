use std::marker::PhantomData;

use super::Head;
use super::segment::{Entry, Segment};
use crate::lane::Lane;
use crate::planted::{self, Plant};
use crate::sync::{Arc, Ordering};
use crate::{Policy, Weight};

/// The one who may read a lane. There is one for each lane, handed from the scheduler to the taker and back, so that
/// no lock is held while a batch is looked through, written, or dropped.
pub(crate) struct Reader<K, T> {
    lane: Arc<Lane<K, T>>,
    /// When the item in front came, once a batch was cut there: it may come back, and what the lane was told meanwhile
    /// concerns items behind it.
    cut_at: u64,
    items: PhantomData<T>,
}

/// What stands at the front of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    Item,
    /// Nothing, and nobody was given a slot.
    Empty,
    /// Somebody was given the first slot, and has not filled it yet.
    Stuck,
}

/// The front of a lane that makes a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) items: usize,
    pub(crate) weight: Weight,
}

impl<K, T> Reader<K, T> {
    /// To be called once for a lane, when it is made.
    pub(crate) fn only_one_of(lane: &Arc<Lane<K, T>>) -> Self {
        Self { lane: Arc::clone(lane), cut_at: 0, items: PhantomData }
    }

    pub(crate) fn lane(&self) -> &Arc<Lane<K, T>> {
        &self.lane
    }

    /// Looks at the front, and leaves segments that are used up.
    #[inline]
    pub(crate) fn front(&mut self) -> Front {
        loop {
            let (at, index) = self.head();
            // SAFETY: the reader's own segment lives until the reader leaves it.
            let segment = unsafe { &*at };
            if index < segment.slots() && segment.is_full(index) {
                return Front::Item;
            }
            let next = segment.next.load(Ordering::Acquire);
            if next.is_null() {
                let end = self.lane.queue().end();
                if planted::is(Plant::LeavesEarly) && end.segment != at && index >= segment.slots() {
                    self.leave(at, end.segment);
                    continue;
                }
                return if end.segment == at && index >= end.index { Front::Empty } else { Front::Stuck };
            }
            if index < segment.end.load(Ordering::Relaxed) {
                return if segment.is_full(index) { Front::Item } else { Front::Stuck };
            }
            self.leave(at, next);
        }
    }

    /// The first item.
    pub(crate) fn first(&mut self) -> Option<&Entry<T>> {
        if self.front() != Front::Item {
            return None;
        }
        let (at, index) = self.head();
        // SAFETY: it is full, and stays so while the reader is borrowed.
        Some(unsafe { (*at).entry(index) })
    }

    /// When the first item came, as a [word](crate::time); 0 if nobody knows. Never later than it did.
    pub(crate) fn oldest(&mut self) -> u64 {
        if self.cut_at != 0 {
            return self.cut_at;
        }
        match self.first() {
            None => 0,
            Some(first) if first.at != 0 => first.at,
            Some(_) => {
                let (at, index) = self.head();
                // SAFETY: the reader has read the slots before its head, and the head is full.
                let timed = unsafe { (*at).timed_before(index) };
                // An item that found the lane empty came later than what was in the slots before it.
                timed.max(self.lane.began())
            }
        }
    }

    /// As [`oldest`](Self::oldest), and from here on the same until the item is gone.
    pub(crate) fn keep_oldest(&mut self) -> u64 {
        self.cut_at = self.oldest();
        self.cut_at
    }

    /// The longest front that is within `limit`, at least one item.
    pub(crate) fn span(&self, limit: &Policy) -> Span {
        let mut span = Span { items: 0, weight: Weight::ZERO };
        let mut walk = self.walk(usize::MAX);
        while let Some(entry) = walk.next_full() {
            let weight = span.weight.add(entry.weight);
            if span.items > 0 && (weight.rows > limit.rows_max || weight.bytes > limit.bytes_max) {
                break;
            }
            span = Span { items: span.items + 1, weight };
        }
        span
    }

    /// The first `items` items, all of which are known to be there.
    pub(crate) fn walk(&self, items: usize) -> Walk<'_, T> {
        let (segment, index) = self.head();
        Walk { segment, index, left: items, entries: PhantomData }
    }

    /// Moves the first `items` items out, each to `each`; all of them, also when `each` panics.
    pub(crate) fn consume(&mut self, items: usize, mut each: impl FnMut(T)) {
        let mut rest = Rest { reader: self, left: items };
        while let Some(item) = rest.next() {
            each(item);
        }
    }

    /// Moves the first item out, if there is one.
    #[inline]
    pub(crate) fn take_first(&mut self) -> Option<Entry<T>> {
        loop {
            let (at, index) = self.head();
            // SAFETY: the reader's own segment lives until the reader leaves it.
            let segment = unsafe { &*at };
            if index < segment.slots() && segment.is_full(index) {
                // SAFETY: it is full, and the reader goes on before anyone looks again.
                let entry = unsafe { segment.empty(index) };
                self.advance();
                return Some(entry);
            }
            // Mostly the end of a segment: looking at the front leaves it.
            if self.front() != Front::Item {
                return None;
            }
        }
    }

    #[inline]
    fn head(&self) -> (*mut Segment<T>, u32) {
        // SAFETY: only this reader touches the head.
        self.lane.queue().head.0.with(|head| unsafe { ((*head).segment, (*head).index) })
    }

    #[inline]
    fn advance(&mut self) {
        self.cut_at = 0;
        // SAFETY: only this reader touches the head.
        self.lane.queue().head.0.with_mut(|head| unsafe { (*head).index += 1 });
    }

    fn leave(&mut self, used_up: *mut Segment<T>, next: *mut Segment<T>) {
        // SAFETY: only this reader touches the head.
        self.lane.queue().head.0.with_mut(|head| unsafe { *head = Head { segment: next, index: 0 } });
        // SAFETY: all its slots were given out, filled and read, and the producer who told it what is next did nothing to
        // it afterwards; the tail names another segment. So nobody else knows it any more.
        self.lane.queue().spares.give(unsafe { Box::from_raw(used_up) });
    }
}

// SAFETY: a reader is a lane's and its items' one owner on the reading side.
unsafe impl<K: Send + Sync, T: Send> Send for Reader<K, T> {}
// SAFETY: a shared reader only gives out `&T`.
unsafe impl<K: Send + Sync, T: Send + Sync> Sync for Reader<K, T> {}

/// What is left to consume; dropped, also by a panic, it consumes it.
struct Rest<'r, K, T> {
    reader: &'r mut Reader<K, T>,
    left: usize,
}

impl<K, T> Rest<'_, K, T> {
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        self.reader.take_first().map(|entry| entry.item)
    }
}

impl<K, T> Drop for Rest<'_, K, T> {
    fn drop(&mut self) {
        while let Some(item) = self.next() {
            drop(item);
        }
    }
}

/// A walk over full slots, which changes nothing.
pub(crate) struct Walk<'r, T> {
    segment: *mut Segment<T>,
    index: u32,
    left: usize,
    entries: PhantomData<&'r Entry<T>>,
}

// SAFETY: it gives out `&T`.
unsafe impl<T: Sync> Send for Walk<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Walk<'_, T> {}

impl<T> Clone for Walk<'_, T> {
    fn clone(&self) -> Self {
        Self { segment: self.segment, index: self.index, left: self.left, entries: PhantomData }
    }
}

impl<'r, T> Walk<'r, T> {
    /// The bytes of what is left to walk.
    pub(crate) fn bytes(mut self) -> u64 {
        let mut bytes = 0_u64;
        while let Some(entry) = self.next_full() {
            bytes = bytes.saturating_add(entry.weight.bytes);
        }
        bytes
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    #[inline]
    pub(crate) fn next_full(&mut self) -> Option<&'r Entry<T>> {
        loop {
            if self.left == 0 {
                return None;
            }
            // SAFETY: segments from the head on live while the reader is borrowed.
            let segment = unsafe { &*self.segment };
            if self.index < segment.slots() && segment.is_full(self.index) {
                self.index += 1;
                self.left -= 1;
                // SAFETY: it is full, and stays so while the reader is borrowed.
                return Some(unsafe { segment.entry(self.index - 1) });
            }
            let next = segment.next.load(Ordering::Acquire);
            if next.is_null() || self.index < segment.end.load(Ordering::Relaxed) {
                self.left = 0;
                return None;
            }
            (self.segment, self.index) = (next, 0);
        }
    }
}
