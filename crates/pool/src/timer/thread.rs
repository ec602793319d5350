use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, PoisonError},
    task::Waker,
    thread,
    time::Instant,
};

use super::{Alarm, Timer};

/// One sleeping thread for all pools of the process, started with the first alarm. The default: it needs no runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadTimer;

struct Alarms {
    due: Mutex<Due>,
    changed: Condvar,
}

struct Due {
    wakers: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    is_started: bool,
}

static ALARMS: Alarms = Alarms {
    due: Mutex::new(Due { wakers: BTreeMap::new(), next: 0, is_started: false }),
    changed: Condvar::new(),
};

impl Timer for ThreadTimer {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wake_at(&self, at: Instant, waker: Waker) -> Alarm {
        let mut due = ALARMS.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.next += 1;
        let key = (at, due.next);
        due.wakers.insert(key, waker);
        let is_first = due.wakers.first_key_value().is_some_and(|(first, _)| *first == key);
        if !due.is_started {
            let started = thread::Builder::new().name("standpipe-pool-timer".to_owned()).spawn(ring);
            // Without a thread nothing ends by its timeout until one can be started: the next alarm tries again.
            due.is_started = started.is_ok();
        }
        drop(due);
        if is_first {
            ALARMS.changed.notify_one();
        }
        Alarm::new(move || {
            let removed = ALARMS.due.lock().unwrap_or_else(PoisonError::into_inner).wakers.remove(&key);
            drop(removed);
        })
    }
}

fn ring() {
    let mut due = ALARMS.due.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some((&key, _)) = due.wakers.first_key_value() else {
            due = ALARMS.changed.wait(due).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let wait = key.0.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            due = ALARMS.changed.wait_timeout(due, wait).unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let waker = due.wakers.remove(&key);
        drop(due);
        // A waker that panics must not end the thread for all others.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.map(Waker::wake)));
        due = ALARMS.due.lock().unwrap_or_else(PoisonError::into_inner);
    }
}
