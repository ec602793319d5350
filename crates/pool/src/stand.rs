//! The only unsafe code of the crate: a place without a lock of its own.

#![allow(unsafe_code)]

#[cfg(loom)]
use loom::cell::UnsafeCell;
#[cfg(not(loom))]
use std::cell::UnsafeCell;

/// What stands in a place. A mutex in its stead, never contended, is four atomic operations more for each lease: with it one task made
/// some 11 million leases a second, without it 10 to 13.5 (few samples, on a machine whose speed changes by as much).
///
/// # The argument
/// A place has an owner at any time. While its bit in the rack is set, nobody owns it and nobody touches the cell. Clearing
/// the bit, by a compare-and-exchange that only one can win, makes the winner its owner, and acquires what the one before
/// released by setting it. The owner alone calls `put` and `take`, and gives up ownership by setting the bit, with release.
/// A place whose bit was never set belongs to whom the desk gave it, under its lock.
pub(crate) struct Stand<T> {
    item: UnsafeCell<Option<T>>,
}

// SAFETY: the cell is touched by one owner at a time, as argued above, and items move between threads: `T: Send`.
unsafe impl<T: Send> Sync for Stand<T> {}

impl<T> Stand<T> {
    pub(crate) fn new() -> Self {
        Stand { item: UnsafeCell::new(None) }
    }

    /// Puts an item there.
    ///
    /// # Safety
    /// The caller owns the place.
    pub(crate) unsafe fn put(&self, item: T) {
        // SAFETY: no other reference to what is in the cell is alive, as the caller owns it, and none is handed out.
        #[cfg(not(loom))]
        let before = unsafe { (*self.item.get()).replace(item) };
        #[cfg(loom)]
        let before = self.item.with_mut(|cell| {
            // SAFETY: as above.
            unsafe { (*cell).replace(item) }
        });
        debug_assert!(before.is_none(), "invariant: a place is empty while its bit is clear");
    }

    /// Takes what is there.
    ///
    /// # Safety
    /// The caller owns the place.
    pub(crate) unsafe fn take(&self) -> Option<T> {
        // SAFETY: as in `put`.
        #[cfg(not(loom))]
        return unsafe { (*self.item.get()).take() };
        #[cfg(loom)]
        return self.item.with_mut(|cell| {
            // SAFETY: as in `put`.
            unsafe { (*cell).take() }
        });
    }
}
