use std::ptr;

use crate::lane::Lane;
use crate::planted::{self, Plant};
use crate::sync::{Arc, AtomicPtr, Ordering};

/// Lanes that the scheduler is to look at: producers post, whoever holds the scheduler drains. Posting is lock-free and
/// allocates nothing; the lanes are their own list. Taken only as a whole, so a lane that comes back cannot confuse it.
pub(crate) struct Inbox<K, T> {
    /// The lane posted last, null, or [`asleep`]: then somebody sleeps who must be woken for the next one.
    last: AtomicPtr<Lane<K, T>>,
}

/// The mark of a sleeper. An address at which no lane can be.
fn asleep<K, T>() -> *mut Lane<K, T> {
    ptr::without_provenance_mut(1)
}

impl<K, T> Inbox<K, T> {
    pub(crate) fn new() -> Self {
        Self { last: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Posts the lane unless it is there. Returns whether somebody sleeps.
    pub(crate) fn post(&self, lane: &Arc<Lane<K, T>>) -> bool {
        if lane.is_posted.swap(true, Ordering::AcqRel) {
            return false;
        }
        let posted = Arc::into_raw(Arc::clone(lane)).cast_mut();
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let is_asleep = last == asleep();
            let behind = if is_asleep { ptr::null_mut() } else { last };
            lane.behind.store(behind, Ordering::Relaxed);
            match self.last.compare_exchange_weak(last, posted, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return is_asleep,
                Err(now) => last = now,
            }
        }
    }

    /// Takes all lanes out, those posted first in front.
    pub(crate) fn drain(&self, lanes: &mut Vec<Arc<Lane<K, T>>>) {
        if self.last.load(Ordering::Acquire).is_null() {
            return;
        }
        let mut next = self.last.swap(ptr::null_mut(), Ordering::AcqRel);
        if next == asleep() {
            return;
        }
        let from = lanes.len();
        while !next.is_null() {
            // SAFETY: it came from `into_raw` in `post`, and the list was ours alone from the swap on.
            let lane = unsafe { Arc::from_raw(next.cast_const()) };
            next = lane.behind.load(Ordering::Relaxed);
            // From here on it may be posted again; whoever looks at the lane later sees what was pushed before.
            if !planted::is(Plant::UnmarksLate) {
                lane.is_posted.swap(false, Ordering::AcqRel);
            }
            lanes.push(lane);
        }
        lanes[from..].reverse();
    }

    /// Leaves the mark that somebody sleeps. False when a lane was posted meanwhile: look at it first.
    pub(crate) fn sleep(&self) -> bool {
        match self.last.compare_exchange(ptr::null_mut(), asleep(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(last) => last == asleep(),
        }
    }
}

impl<K, T> Drop for Inbox<K, T> {
    fn drop(&mut self) {
        self.drain(&mut Vec::new());
    }
}
