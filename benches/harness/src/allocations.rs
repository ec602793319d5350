use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
};

static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counted. A program that measures allocations installs it:
/// `#[global_allocator] static ALLOCATOR: Counting = Counting;`. Two relaxed additions for each allocation; the same
/// in both builds that are compared.
#[derive(Debug)]
pub struct Counting;

// SAFETY: every call is handed to `System` unchanged, whose contract is the same as ours; counting touches no memory
// but two atomics.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.saturating_sub(layout.size()));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(old, layout) }
    }
}

fn count(bytes: usize) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// What was allocated so far, by all threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocations {
    /// Calls of the allocator that gave memory.
    pub count: u64,
    /// Bytes given.
    pub bytes: u64,
}

impl Allocations {
    /// So far. Zero for ever where [`Counting`] is not the allocator.
    #[must_use]
    pub fn so_far() -> Self {
        Allocations { count: COUNT.load(Ordering::Relaxed), bytes: BYTES.load(Ordering::Relaxed) }
    }

    /// Since an earlier moment.
    #[must_use]
    pub fn since(self) -> Self {
        let now = Allocations::so_far();
        Allocations { count: now.count - self.count, bytes: now.bytes - self.bytes }
    }
}
