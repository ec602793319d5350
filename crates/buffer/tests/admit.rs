//! Requests that are held back: what ends a delay, and that one that is cancelled leaves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use common::{Bell, TokioClock, poll, poll_with};
use standpipe_buffer::{Budget, BudgetError, Clock};

/// A clock that is put forward by hand; its sleeps have to be polled to notice.
struct ByHand(Rc<Cell<Instant>>);

impl ByHand {
    fn new() -> Self {
        Self(Rc::new(Cell::new(Instant::now())))
    }

    fn forward(&self, span: Duration) {
        self.0.set(self.0.get() + span);
    }
}

struct Until(Rc<Cell<Instant>>, Instant);

impl Future for Until {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.get() >= self.1 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Clock for ByHand {
    type Sleep = Until;
    fn now(&self) -> Instant {
        self.0.get()
    }
    fn sleep_until(&self, deadline: Instant) -> Until {
        Until(Rc::clone(&self.0), deadline)
    }
}

/// Nobody asks it.
struct Unasked;

impl Clock for Unasked {
    type Sleep = Until;
    fn now(&self) -> Instant {
        panic!("the clock was read")
    }
    fn sleep_until(&self, _: Instant) -> Until {
        panic!("a timer was set")
    }
}

#[test]
fn below_soft_nobody_is_held_back_and_no_clock_is_read() {
    let budget = Budget::new(100);
    let _soft = budget.try_acquire(75).unwrap();
    assert!(matches!(poll(Box::pin(budget.admit(10, &Unasked)).as_mut()), Poll::Ready(Ok(_))));
    let _above = budget.try_acquire(10).unwrap();
    let refused = poll(Box::pin(budget.admit(101, &Unasked)).as_mut());
    assert!(matches!(refused, Poll::Ready(Err(BudgetError::TooLarge { bytes: 101, limit: 100 }))));
}

#[test]
fn above_soft_a_request_waits_out_its_delay_and_then_stands_in_line() {
    let (budget, clock) = (Budget::new(100), ByHand::new());
    let most = budget.try_acquire(95).unwrap();
    let (mut fits, mut large) = (Box::pin(budget.admit(5, &clock)), Box::pin(budget.admit(6, &clock)));
    for _ in 0..3 {
        assert!(poll(fits.as_mut()).is_pending() && poll(large.as_mut()).is_pending());
    }
    assert_eq!(budget.waiters(), 0, "who is held back does not stand in line yet");
    clock.forward(Budget::DELAY_UNKNOWN);
    let Poll::Ready(Ok(permit)) = poll(fits.as_mut()) else { panic!("the delay is over") };
    assert!(poll(large.as_mut()).is_pending());
    assert_eq!(budget.waiters(), 1);
    drop(permit);
    assert!(poll(large.as_mut()).is_pending(), "a byte is missing yet");
    drop(most);
    assert!(matches!(poll(large.as_mut()), Poll::Ready(Ok(_))));
    drop((fits, large));
    assert_eq!((budget.in_use(), budget.waiters()), (0, 0));
}

#[test]
fn a_delay_ends_at_soft_and_when_the_budget_is_closed() {
    let (budget, clock) = (Budget::new(100), ByHand::new());
    let mut most = budget.try_acquire(90).unwrap();
    let bells: Vec<_> = (0..40).map(|_| Bell::new()).collect();
    let mut admits: Vec<_> = bells.iter().map(|_| Box::pin(budget.admit(1, &clock))).collect();
    for (admit, bell) in admits.iter_mut().zip(&bells) {
        assert!(poll_with(admit.as_mut(), bell).is_pending());
    }
    drop(most.split(15));
    assert!(bells.iter().all(|bell| bell.rings() == 1), "at soft nobody is held back");
    // The first of them is in, and takes it above soft again: the others sleep on.
    let Poll::Ready(Ok(permit)) = poll_with(admits[0].as_mut(), &bells[0]) else { panic!("let in") };
    assert!(budget.is_pressed());
    for (admit, bell) in admits.iter_mut().zip(&bells).skip(1) {
        assert!(poll_with(admit.as_mut(), bell).is_pending());
    }
    budget.close();
    for (admit, bell) in admits.iter_mut().zip(&bells).skip(1) {
        assert_eq!(bell.rings(), 1);
        assert!(matches!(poll_with(admit.as_mut(), bell), Poll::Ready(Err(BudgetError::Closed))));
    }
    drop((permit, most));
    assert_eq!(budget.in_use(), 0);
}

#[test]
fn m7_a_request_that_is_held_back_and_cancelled_at_any_poll_leaves_nothing() {
    for polls in 0..6 {
        let (budget, clock) = (Budget::new(100), ByHand::new());
        let mut most = Some(budget.try_acquire(96).unwrap());
        let bell = Bell::new();
        let mut admit = Some(Box::pin(budget.admit(6, &clock)));
        let mut next = Box::pin(budget.acquire(5));
        for step in 0..6 {
            if step == polls {
                admit = None;
            }
            if let Some(future) = &mut admit
                && poll(future.as_mut()).is_ready()
            {
                admit = None;
            }
            match step {
                1 => clock.forward(Budget::DELAY_UNKNOWN),
                3 => assert!(poll_with(next.as_mut(), &bell).is_pending()),
                4 => drop(most.take()),
                _ => {}
            }
        }
        drop(admit);
        assert!(bell.rang() && poll(next.as_mut()).is_ready(), "cancelled after {polls} polls");
        drop(next);
        assert_eq!((budget.in_use(), budget.waiters()), (0, 0), "cancelled after {polls} polls");
    }
}

#[test]
fn a_thread_that_is_held_back_is_let_in_or_told() {
    for close in [false, true] {
        let budget = Budget::new(100);
        let most = budget.try_acquire(96).unwrap();
        let held_back = {
            let budget = budget.clone();
            thread::spawn(move || budget.admit_blocking(5).map(|permit| permit.bytes()))
        };
        let until = Instant::now() + Duration::from_secs(20);
        while budget.waiters() == 0 && Instant::now() < until {
            thread::yield_now();
        }
        if close {
            budget.close();
        }
        drop(most);
        let answer = held_back.join().unwrap();
        assert_eq!(answer, if close { Err(BudgetError::Closed) } else { Ok(5) });
        assert_eq!(budget.in_use(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_are_held_back_by_the_clock_they_bring() {
    let budget = Budget::new(100);
    let _most = budget.try_acquire(90).unwrap();
    let (clock, before) = (TokioClock, TokioClock.now());
    drop(budget.admit(10, &clock).await.unwrap());
    assert!(clock.now() - before >= Budget::DELAY_UNKNOWN.mul_f64(0.5));
    assert!(clock.now() - before <= Budget::DELAY_MAX);
}
