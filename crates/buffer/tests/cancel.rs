//! M7: whatever is cancelled at whichever poll, nothing is lost and nothing doubled.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use common::{Bell, Item, complete, never, poll, poll_with, turn};
use standpipe_buffer::{Acquire, Budget, BudgetError, Clock, Lanes, Permit, Policy};

#[test]
fn m7_a_cancelled_first_in_line_lets_the_next_go_at_once() {
    let budget = Budget::new(10);
    let mut holder = budget.try_acquire(10).unwrap();
    let bell = Bell::new();
    let (mut first, mut next) = (Box::pin(budget.acquire(6)), Box::pin(budget.acquire(5)));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll_with(next.as_mut(), &bell).is_pending());
    drop(holder.split(5));
    assert_eq!(bell.rings(), 0);
    drop(first);
    assert_eq!(bell.rings(), 1);
    assert!(poll(next.as_mut()).is_ready());
}

type Asked = Pin<Box<dyn Future<Output = Result<Permit, BudgetError>>>>;

/// Ten bytes come free in two halves while A (6) and then B (4) wait; A is dropped after `steps` steps.
fn acquire_dropped_after(steps: usize, acquire: fn(&Budget, u64) -> Asked) -> Result<(), String> {
    let budget = Budget::new(10);
    let mut holder = Some(budget.try_acquire(10).unwrap());
    let (bell_a, bell_b) = (Bell::new(), Bell::new());
    let mut a = Some(acquire(&budget, 6));
    let mut b: Asked = Box::pin(budget.acquire(4));
    let mut got_a = None;
    for step in 0..5 {
        if step == steps {
            drop(a.take());
        }
        match step {
            0 | 4 => {
                if let Some(asked) = &mut a
                    && let Poll::Ready(permit) = poll_with(asked.as_mut(), &bell_a)
                {
                    got_a = Some(permit.unwrap());
                }
            }
            1 => assert!(poll_with(b.as_mut(), &bell_b).is_pending()),
            2 => drop(holder.as_mut().unwrap().split(5)),
            _ => drop(holder.take()),
        }
    }
    drop((a, got_a));
    if bell_b.rings() == 0 {
        return Err(format!("dropped after {steps} steps: the next was not woken"));
    }
    let Poll::Ready(Ok(permit)) = poll(b.as_mut()) else {
        return Err(format!("dropped after {steps} steps: woken for nothing"));
    };
    drop(permit);
    if budget.in_use() != 0 || budget.waiters() != 0 {
        return Err(format!("dropped after {steps} steps: {} bytes leaked", budget.in_use()));
    }
    Ok(())
}

/// The planted fault: a pending request that is dropped does not leave the line.
struct StaysInLine(Option<Acquire>);

impl Future for StaysInLine {
    type Output = Result<Permit, BudgetError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(self.0.as_mut().unwrap()).poll(cx);
        if answer.is_ready() {
            self.0 = None;
        }
        answer
    }
}

impl Drop for StaysInLine {
    fn drop(&mut self) {
        std::mem::forget(self.0.take());
    }
}

#[test]
fn m7_an_acquire_dropped_at_every_poll_leaks_nothing() {
    for steps in 0..=5 {
        acquire_dropped_after(steps, |budget, bytes| Box::pin(budget.acquire(bytes))).unwrap();
    }
    let caught = (0..=5)
        .filter(|&steps| {
            acquire_dropped_after(steps, |budget, bytes| Box::pin(StaysInLine(Some(budget.acquire(bytes)))))
                .is_err()
        })
        .count();
    assert!(caught >= 3, "the sweep finds a request that stays in line ({caught} times)");
}

/// A clock that stands where it is put, with timers that never ring by themselves.
struct Stopped(Cell<Instant>);

impl Clock for Stopped {
    type Sleep = std::future::Pending<()>;
    fn now(&self) -> Instant {
        self.0.get()
    }
    fn sleep_until(&self, _deadline: Instant) -> Self::Sleep {
        std::future::pending()
    }
}

type Taking<'a> = Pin<Box<dyn Future<Output = Vec<u64>> + 'a>>;

/// Rows are pushed while a take is polled, and the take is dropped after `polls` polls. Then everything is drained.
fn take_dropped_after(
    polls: usize,
    take: for<'a> fn(&'a Lanes<u8, Item>, &'a Stopped) -> Taking<'a>,
) -> Result<(), String> {
    let now = Instant::now();
    let clock = Stopped(Cell::new(now));
    let lanes = Lanes::new(Policy { rows_max: 2, ..never() });
    let mut seen = Vec::new();
    {
        let mut taking = Some(take(&lanes, &clock));
        for step in 0..6 {
            if step == polls {
                taking = None;
            }
            if let Some(future) = &mut taking
                && let Poll::Ready(numbers) = poll(future.as_mut())
            {
                seen.extend(numbers);
                taking = None;
            }
            lanes.push(1, Item::new(step as u64, 1, 1), now).unwrap();
        }
    }
    lanes.close();
    while let Some(taken) = lanes.try_take(now) {
        seen.extend(complete(taken));
    }
    if seen == [0, 1, 2, 3, 4, 5] && lanes.lanes() == 0 {
        Ok(())
    } else {
        Err(format!("dropped after {polls} polls: got {seen:?}"))
    }
}

#[test]
fn m7_a_take_dropped_at_every_poll_loses_nothing() {
    for polls in 0..=6 {
        take_dropped_after(polls, |lanes, clock| {
            Box::pin(async move {
                let taken = lanes.take(clock).await.unwrap();
                // A commit with two awaits in it.
                turn().await;
                turn().await;
                complete(taken)
            })
        })
        .unwrap();
    }
    // Planted: the batch is settled before the commit, so a cancelled commit destroys it.
    let caught = (0..=6)
        .filter(|&polls| {
            take_dropped_after(polls, |lanes, clock| {
                Box::pin(async move {
                    let numbers = complete(lanes.take(clock).await.unwrap());
                    turn().await;
                    turn().await;
                    numbers
                })
            })
            .is_err()
        })
        .count();
    assert!(caught > 0);
}

#[test]
fn m7_a_cancelled_taker_passes_its_wake_on() {
    let now = Instant::now();
    let clock = Stopped(Cell::new(now));
    let lanes = Lanes::new(Policy { rows_max: 1, ..never() });
    for cancelled in 0..3 {
        let bells = [Bell::new(), Bell::new(), Bell::new()];
        let mut takes: Vec<_> = bells
            .iter()
            .map(|bell| {
                let mut take = Box::pin(lanes.take(&clock));
                assert!(poll_with(take.as_mut(), bell).is_pending());
                Some(take)
            })
            .collect();
        takes[cancelled] = None;
        lanes.push(7, Item::new(1, 1, 1), now).unwrap();
        // Whoever was woken goes away without looking, until one is left.
        let mut left = 2;
        while left > 1 {
            let woken =
                (0..3).find(|&i| takes[i].is_some() && bells[i].rings() > 0).expect("a wake was lost");
            takes[woken] = None;
            left -= 1;
        }
        let last = (0..3).find(|&i| takes[i].is_some()).unwrap();
        assert!(bells[last].rings() > 0, "the wake was not passed on");
        let Poll::Ready(Some(taken)) = poll(takes[last].as_mut().unwrap().as_mut()) else {
            panic!("woken for nothing");
        };
        taken.complete();
    }
}

#[test]
fn a_taker_that_steps_back_is_not_woken() {
    let now = Instant::now();
    let lanes = Lanes::new(Policy { rows_max: 1, ..never() });
    let (bell_a, bell_b) = (Bell::new(), Bell::new());
    let (mut a, mut b) = (lanes.taker(), lanes.taker());
    let (waker_a, waker_b) = (Waker::from(bell_a.clone()), Waker::from(bell_b.clone()));
    assert!(a.poll_take(now, &mut Context::from_waker(&waker_a)).is_pending());
    assert!(b.poll_take(now, &mut Context::from_waker(&waker_b)).is_pending());
    a.step_back();
    lanes.push(7, Item::new(1, 1, 1), now).unwrap();
    assert_eq!(bell_a.rings(), 0);
    assert!(bell_b.rings() > 0);
}

#[test]
fn m7_a_cancelled_take_passes_its_wake_on_although_its_taker_lives() {
    let now = Instant::now();
    let clock = Stopped(Cell::new(now));
    let lanes = Lanes::new(Policy { rows_max: 1, ..never() });
    let (bell_a, bell_b) = (Bell::new(), Bell::new());
    let (mut a, mut b) = (lanes.taker(), lanes.taker());
    let mut take_a = Box::pin(a.take(&clock));
    let mut take_b = Box::pin(b.take(&clock));
    assert!(poll_with(take_a.as_mut(), &bell_a).is_pending());
    assert!(poll_with(take_b.as_mut(), &bell_b).is_pending());
    lanes.push(7, Item::new(1, 1, 1), now).unwrap();
    // Both are woken for the new deadline; `b` looks for it, takes, gives back, and waits behind `a`.
    let Poll::Ready(Some(taken)) = poll_with(take_b.as_mut(), &bell_b) else { panic!("it is due") };
    drop(take_b);
    let mut take_b = Box::pin(b.take(&clock));
    assert!(poll_with(take_b.as_mut(), &bell_b).is_pending());
    assert!(poll_with(take_a.as_mut(), &bell_a).is_pending());
    let _before = (bell_a.rings(), bell_b.rings());
    drop(taken);
    assert_eq!((bell_a.rings(), bell_b.rings()), (1, 0), "`a` waits longest");
    drop(take_a);
    assert_eq!(bell_b.rings(), 1, "the wake was not passed on");
    drop(a);
}
