//! The items of a lane: producers push without locks, one reader takes. All the unsafe code of pushing and reading is here.

mod chain;
#[cfg(all(test, loom))]
mod loom_tests;
mod reader;
mod segment;
mod spares;
mod tail;

pub(crate) use chain::Chain;
pub(crate) use reader::{Front, Reader, Span, Walk};
pub(crate) use segment::Entry;
pub(crate) use spares::Spares;

use crate::sync::{Arc, AtomicU64, Line, Ordering, UnsafeCell};
use segment::{CLASS_GROWN, CLASS_MIN, Segment, TIMED_EVERY};
use tail::Tail;

/// The items of one lane: many producers push, one reader takes. Unbounded; the budget limits it.
///
/// A push is one `fetch_add` on `tail`, which names the last segment and counts its slots that were given out, in one
/// word: whoever is given a slot owns it and touches only that segment, which therefore cannot go away under him.
/// He writes, and marks the slot full. No producer waits for another: one that stands still leaves a slot that is not
/// full, which stops the reader there and nobody else. When the segment is used up, any of the producers puts a new one
/// behind it, by one compare-and-swap of the word; the winner then tells the old segment what comes next.
pub(crate) struct Queue<T> {
    tail: AtomicU64,
    /// Where the reader is. Only the one [`Reader`] touches it.
    head: Line<UnsafeCell<Head<T>>>,
    spares: Arc<Spares<T>>,
}

/// The next slot to read.
struct Head<T> {
    segment: *mut Segment<T>,
    index: u32,
}

// SAFETY: segments are Sync for T: Send; `head` is touched only by the one reader, which is handed from thread to
// thread under a lock.
unsafe impl<T: Send> Send for Queue<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Queue<T> {}

/// Where a queue ended at some moment.
struct End<T> {
    segment: *mut Segment<T>,
    index: u32,
}

impl<T> Queue<T> {
    pub(crate) fn new(spares: Arc<Spares<T>>) -> Self {
        let first = Box::into_raw(spares.take(CLASS_MIN));
        Self {
            tail: AtomicU64::new(Tail::of(first, CLASS_MIN, 0).0),
            head: Line(UnsafeCell::new(Head { segment: first, index: 0 })),
            spares,
        }
    }

    /// Appends one entry. Where it has no time, `clock` gives it to those that seem to come into a slot of [`TIMED_EVERY`].
    ///
    /// # Errors
    /// Hands it back when the queue is closed.
    #[inline]
    pub(crate) fn push(&self, mut entry: Entry<T>, clock: impl Fn() -> u64) -> Result<(), Entry<T>> {
        let mut fresh: Option<Box<Segment<T>>> = None;
        let pushed = loop {
            // Looked at first, so that each producer counts past the end of a segment at most once.
            let seen = Tail(self.tail.load(Ordering::Acquire));
            if seen.is_closed() {
                break Err(entry);
            }
            if seen.has_room() {
                // Before a slot is given: the clock is the caller's code, and with a slot in hand nothing may go wrong.
                if entry.at == 0 && seen.count().is_multiple_of(TIMED_EVERY) {
                    entry.at = clock();
                }
                let given = Tail(self.tail.fetch_add(1, Ordering::AcqRel));
                if given.is_closed() {
                    break Err(entry);
                }
                if given.has_room() {
                    // SAFETY: the count was this one for nobody else, so the slot is ours and the segment lives: the reader
                    // does not leave it before it has read this slot.
                    unsafe { (*given.segment::<T>()).fill(given.count(), entry) };
                    break Ok(());
                }
                continue;
            }
            let class = seen.class().clamp(CLASS_MIN - 1, CLASS_GROWN - 1) + 1;
            if entry.at == 0 {
                entry.at = clock();
            }
            let segment = fresh.take().unwrap_or_else(|| self.spares.take(class));
            // SAFETY: the segment is ours alone.
            unsafe { segment.fill(0, entry) };
            match self.append(seen, segment, 1) {
                Ok(()) => break Ok(()),
                Err(refused) => {
                    // SAFETY: still ours alone, and slot 0 was filled above.
                    entry = unsafe { refused.empty(0) };
                    fresh = Some(refused);
                }
            }
        };
        if let Some(unused) = fresh {
            self.spares.give(unused);
        }
        pushed
    }

    /// Appends a chain that nobody else knows, all of it in one step.
    ///
    /// # Errors
    /// Hands it back when the queue is closed.
    pub(crate) fn push_chain(&self, chain: Chain<T>) -> Result<(), Chain<T>> {
        loop {
            let seen = Tail(self.tail.load(Ordering::Acquire));
            if seen.is_closed() {
                return Err(chain);
            }
            if self.tail.compare_exchange(seen.0, chain.tail().0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                let first = chain.release();
                Self::link(seen, first);
                return Ok(());
            }
        }
    }

    /// Makes `segment`, of which `count` slots are filled, the last one, if `seen` is still the end.
    fn append(&self, seen: Tail, segment: Box<Segment<T>>, count: u32) -> Result<(), Box<Segment<T>>> {
        let class = segment.class();
        let raw = Box::into_raw(segment);
        let word = Tail::of(raw, class, count);
        match self.tail.compare_exchange(seen.0, word.0, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => {
                Self::link(seen, raw);
                Ok(())
            }
            // SAFETY: it came from the box above and was shown to nobody.
            Err(_) => Err(unsafe { Box::from_raw(raw) }),
        }
    }

    /// Tells the segment that was the last one until now where it ended and what follows.
    fn link(seen: Tail, next: *mut Segment<T>) {
        // SAFETY: the reader does not leave a segment before it knows the next one, which only we tell it.
        let before = unsafe { &*seen.segment::<T>() };
        before.end.store(seen.count(), Ordering::Relaxed);
        before.next.store(next, Ordering::Release);
    }

    /// Refuses later pushes. Those that were given a slot before are part of the queue. Not to run beside [`end`](Self::end):
    /// the schedule's lock is held for both.
    pub(crate) fn close(&self) {
        let before = Tail(self.tail.fetch_or(Tail::CLOSED, Ordering::AcqRel));
        if !before.is_closed() {
            // SAFETY: with the mark set it stays the last segment, which the reader never leaves.
            let last = unsafe { &*before.segment::<T>() };
            last.end.store(before.count(), Ordering::Release);
        }
    }

    /// The end of the queue now: every push that has returned lies before it.
    fn end(&self) -> End<T> {
        let tail = Tail(self.tail.load(Ordering::Acquire));
        let index = if tail.is_closed() {
            // SAFETY: as in `close`.
            unsafe { &*tail.segment::<T>() }.end.load(Ordering::Acquire)
        } else {
            tail.count()
        };
        End { segment: tail.segment(), index }
    }
}

impl<T> Queue<T> {
    /// Moves what is left out, each to `each`. For the end: nobody pushes or reads any more.
    pub(crate) fn clear(&mut self, mut each: impl FnMut(T)) {
        // SAFETY: we are alone.
        let head = self.head.0.with_mut(|head| unsafe { ((*head).segment, (*head).index) });
        let (mut segment, mut index) = head;
        while !segment.is_null() {
            // SAFETY: from the head on every segment is owned by this queue, and lives as long.
            let owned = unsafe { &*segment };
            while index < owned.slots() && owned.is_full(index) {
                // SAFETY: it is full, and we are alone.
                each(unsafe { owned.empty(index) }.item);
                index += 1;
            }
            segment = owned.next.load(Ordering::Relaxed);
            index = 0;
        }
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        // Items first: their drop may panic, and then the rest leaks rather than being dropped twice.
        self.clear(drop);
        // SAFETY: we are alone.
        let mut segment = self.head.0.with_mut(|head| unsafe { (*head).segment });
        while !segment.is_null() {
            // SAFETY: from the head on every segment is owned by this queue, once, and is empty.
            let owned = unsafe { Box::from_raw(segment) };
            segment = owned.next.load(Ordering::Relaxed);
            self.spares.give(owned);
        }
    }
}
