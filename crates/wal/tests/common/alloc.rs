//! The system's allocator, watched: the largest single request, and what is held at most.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

static LARGEST: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static HELD_MOST: AtomicUsize = AtomicUsize::new(0);

/// Install it with `#[global_allocator]`.
pub struct Watched;

// SAFETY: every call is handed to `System` unchanged; watching touches no memory but three atomics.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        taken(size);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(old, layout) }
    }
}

fn taken(bytes: usize) {
    LARGEST.fetch_max(bytes, Ordering::Relaxed);
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    HELD_MOST.fetch_max(held, Ordering::Relaxed);
}

/// Forgets what was seen; the largest request from now on is what [`largest`] says.
pub fn forget() {
    LARGEST.store(0, Ordering::Relaxed);
    HELD_MOST.store(HELD.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// The largest single request since [`forget`], in bytes.
pub fn largest() -> usize {
    LARGEST.load(Ordering::Relaxed)
}

/// The most that was held at once since [`forget`], in bytes.
pub fn held_most() -> usize {
    HELD_MOST.load(Ordering::Relaxed)
}
