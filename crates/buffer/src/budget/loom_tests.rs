//! The budget's protocol in every order of two and three threads. `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::{Budget, Relief};
use crate::models::model;
use crate::{Acquire, BudgetError, Permit};

/// Wakes a thread of loom's.
#[derive(Default)]
struct Unpark(Mutex<bool>, Condvar);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let unpark = Arc::new(Unpark::default());
    let waker = Waker::from(Arc::clone(&unpark));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut woken = unpark.0.lock().unwrap();
        while !*woken {
            woken = unpark.1.wait(woken).unwrap();
        }
        *woken = false;
    }
}

fn poll(acquire: &mut Acquire) -> Poll<Result<Permit, BudgetError>> {
    Pin::new(acquire).poll(&mut Context::from_waker(Waker::noop()))
}

fn at_rest(budget: &Budget) {
    assert_eq!((budget.in_use(), budget.waiters(), budget.is_pressed()), (0, 0, false));
    assert!(budget.shared.word.look().is_plain(), "a flag was left");
    assert!(budget.peak() <= budget.limit());
}

#[test]
fn loom_whoever_waits_gets_its_bytes() {
    model(3, || {
        let budget = Budget::with_soft(2, 3);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let budget = budget.clone();
                thread::spawn(move || drop(block_on(budget.acquire(2)).unwrap()))
            })
            .collect();
        drop(block_on(budget.acquire(3)).unwrap());
        for other in others {
            other.join().unwrap();
        }
        at_rest(&budget);
        assert_eq!(budget.peak(), 3);
    });
}

#[test]
fn loom_one_that_goes_away_leaves_nothing_and_wakes_the_next() {
    model(3, || {
        let budget = Budget::with_soft(2, 2);
        let permit = budget.try_acquire(1).unwrap();
        let cancels = {
            let budget = budget.clone();
            thread::spawn(move || {
                let mut acquire = budget.acquire(2);
                let _ = poll(&mut acquire);
                drop(acquire);
            })
        };
        let waits = {
            let budget = budget.clone();
            thread::spawn(move || drop(block_on(budget.acquire(1)).unwrap()))
        };
        drop(permit);
        cancels.join().unwrap();
        waits.join().unwrap();
        at_rest(&budget);
    });
}

#[test]
fn loom_nobody_passes_one_who_waits() {
    model(3, || {
        let budget = Budget::with_soft(2, 2);
        let permit = budget.try_acquire(1).unwrap();
        let mut first = budget.acquire(2);
        assert!(poll(&mut first).is_pending());
        let barges = {
            let budget = budget.clone();
            thread::spawn(move || budget.try_acquire(1).is_some())
        };
        drop(permit);
        assert!(!barges.join().unwrap(), "there was no moment when a byte was free for it");
        assert!(poll(&mut first).is_ready());
        at_rest(&budget);
    });
}

#[test]
fn loom_closing_reaches_everybody() {
    model(3, || {
        let budget = Budget::with_soft(1, 1);
        let permit = budget.try_acquire(1).unwrap();
        let waits = {
            let budget = budget.clone();
            thread::spawn(move || drop(block_on(budget.acquire(1))))
        };
        let gives = thread::spawn(move || drop(permit));
        budget.close();
        waits.join().unwrap();
        gives.join().unwrap();
        assert!(budget.try_acquire(1).is_none());
        at_rest(&budget);
    });
}

/// A buffer as small as can be: it rests unless the budget is pressed, and relies on being called when that begins.
#[derive(Default)]
struct Rests {
    called: Mutex<bool>,
    calls: AtomicUsize,
    bell: Condvar,
}

impl Relief for Rests {
    fn relieve(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        *self.called.lock().unwrap() = true;
        self.bell.notify_all();
    }
}

impl Rests {
    fn on(budget: &Budget) -> Arc<Self> {
        let rests = Arc::new(Self::default());
        let weak: Weak<Self> = Arc::downgrade(&rests);
        budget.listen(weak);
        rests
    }

    /// Until the budget is pressed, and at rest again when it was not.
    fn until_pressed(&self, budget: &Budget) {
        let mut called = self.called.lock().unwrap();
        loop {
            *called = false;
            if budget.is_pressed() {
                return;
            }
            while !*called {
                called = self.bell.wait(called).unwrap();
            }
        }
    }
}

#[test]
fn loom_no_beginning_of_pressure_is_missed() {
    model(2, || {
        let budget = Budget::with_soft(1, 4);
        let rests = Rests::on(&budget);
        // One goes above soft and back, one stays there: however the two fall together, the buffer must see the second.
        let passes = {
            let budget = budget.clone();
            thread::spawn(move || drop(budget.try_acquire(2)))
        };
        let stays = {
            let budget = budget.clone();
            thread::spawn(move || budget.try_acquire(2))
        };
        rests.until_pressed(&budget);
        passes.join().unwrap();
        let stays = stays.join().unwrap();
        assert!(budget.is_pressed());
        rests.until_pressed(&budget);
        let calls = rests.calls.load(Ordering::Relaxed);
        assert!(calls == 1 || calls == 2, "{calls} calls for two who pressed");
        drop(stays);
        at_rest(&budget);
    });
}

#[test]
fn loom_a_buffer_that_is_called_late_still_ends_a_wait() {
    model(2, || {
        // The buffer holds what fills the budget, and gives it back only under pressure. Someone waits below soft.
        let budget = Budget::with_soft(3, 4);
        let rests = Rests::on(&budget);
        let full = budget.try_acquire(3).unwrap();
        let waits = {
            let budget = budget.clone();
            thread::spawn(move || drop(block_on(budget.acquire(2)).unwrap()))
        };
        let passes = {
            let budget = budget.clone();
            thread::spawn(move || drop(budget.try_acquire(1)))
        };
        rests.until_pressed(&budget);
        drop(full);
        waits.join().unwrap();
        passes.join().unwrap();
        at_rest(&budget);
    });
}

#[test]
fn loom_pressure_ends_the_delays() {
    model(3, || {
        let budget = Budget::with_soft(1, 2);
        let permit = budget.try_acquire(2).unwrap();
        let sleeps = {
            let budget = budget.clone();
            thread::spawn(move || block_on(budget.undelayed()))
        };
        drop(permit);
        sleeps.join().unwrap();
        at_rest(&budget);
    });
}
