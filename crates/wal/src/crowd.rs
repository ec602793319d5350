use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

const QUIET_MAX: Duration = Duration::from_micros(40);
const WAIT_MAX: Duration = Duration::from_micros(200);

/// Lets those who were just woken join the next group.
///
/// Without it the first of 64 woken writers gets a sync of its own, and the other 63 wait for that and for theirs:
/// half the throughput. It waits only after a group of several, only while more keep coming, and never longer than half a
/// sync takes; a lone writer is never delayed.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// How many had come when the last group was taken.
    seen: u64,
    /// How many were in it.
    last: u64,
    sync: Duration,
}

impl Crowd {
    pub(crate) fn synced(&mut self, took: Duration) {
        self.sync = took;
    }

    pub(crate) fn taken(&mut self, arrived: &AtomicU64) {
        let now = arrived.load(Ordering::Relaxed);
        (self.last, self.seen) = (now - self.seen, now);
    }

    pub(crate) fn gather(&mut self, arrived: &AtomicU64, delay: Duration) {
        if !delay.is_zero() {
            // What `Settings::group_delay` asks for: later answers, fewer syncs.
            thread::sleep(delay);
        }
        if self.last < 2 {
            return;
        }
        let (quiet, most) = ((self.sync / 4).min(QUIET_MAX), (self.sync / 2).min(WAIT_MAX));
        let began = Instant::now();
        let (mut count, mut changed) = (0, began);
        loop {
            let now = Instant::now();
            let came = arrived.load(Ordering::Relaxed) - self.seen;
            if came > count {
                (count, changed) = (came, now);
            }
            if count >= self.last || now - changed > quiet || now - began > most {
                break;
            }
            thread::yield_now();
        }
        // Whoever does not come back is not waited for again.
        self.last = self.last.min(count);
    }
}
