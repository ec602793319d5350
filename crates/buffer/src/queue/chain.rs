use std::ptr;

use super::segment::{CLASS_MAX, CLASS_MIN, Entry, Segment};
use super::spares::Spares;
use super::tail::Tail;
use crate::sync::{Arc, Ordering};

/// Segments that hold many entries and are not in a queue yet.
pub(crate) struct Chain<T> {
    first: *mut Segment<T>,
    last: *mut Segment<T>,
    class: u32,
    /// Slots filled of the last.
    count: u32,
    spares: Arc<Spares<T>>,
}

// SAFETY: it owns its segments.
unsafe impl<T: Send> Send for Chain<T> {}

impl<T> Chain<T> {
    /// An empty chain with room for `wanted` entries in its first segment, as far as segments go.
    pub(crate) fn new(wanted: usize, spares: &Arc<Spares<T>>) -> Self {
        let class = class_of(wanted);
        let first = Box::into_raw(spares.take(class));
        Self { first, last: first, class, count: 0, spares: Arc::clone(spares) }
    }

    /// Appends an entry; `wanted` more are to come, itself included.
    pub(crate) fn push(&mut self, entry: Entry<T>, wanted: usize) {
        if self.count == 1 << self.class {
            let class = class_of(wanted);
            let next = Box::into_raw(self.spares.take(class));
            // SAFETY: the chain owns its segments.
            let last = unsafe { &*self.last };
            last.end.store(self.count, Ordering::Relaxed);
            last.next.store(next, Ordering::Release);
            (self.last, self.class, self.count) = (next, class, 0);
        }
        // SAFETY: as above; the slot behind the count is empty.
        unsafe { (*self.last).fill(self.count, entry) };
        self.count += 1;
    }

    /// Moves the entries out, in order.
    pub(crate) fn drain(&mut self, mut entries: impl FnMut(Entry<T>)) {
        let (mut segment, mut index) = (self.first, 0);
        loop {
            // SAFETY: the chain owns its segments.
            let current = unsafe { &*segment };
            let end = if segment == self.last { self.count } else { current.slots() };
            while index < end {
                if current.is_full(index) {
                    // SAFETY: it is full, and we are alone.
                    entries(unsafe { current.empty(index) });
                }
                index += 1;
            }
            if segment == self.last {
                return;
            }
            (segment, index) = (current.next.load(Ordering::Relaxed), 0);
        }
    }

    /// The word of a queue that ends with it.
    pub(super) fn tail(&self) -> Tail {
        Tail::of(self.last, self.class, self.count)
    }

    /// Its first segment, to be owned by a queue.
    pub(super) fn release(mut self) -> *mut Segment<T> {
        std::mem::replace(&mut self.first, ptr::null_mut())
    }
}

impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        if self.first.is_null() {
            return;
        }
        self.drain(drop);
        let mut segment = self.first;
        while !segment.is_null() {
            // SAFETY: the chain owns its segments.
            let owned = unsafe { Box::from_raw(segment) };
            segment = owned.next.load(Ordering::Relaxed);
            self.spares.give(owned);
        }
    }
}

fn class_of(wanted: usize) -> u32 {
    wanted.next_power_of_two().trailing_zeros().clamp(CLASS_MIN, CLASS_MAX)
}
