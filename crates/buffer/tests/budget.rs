//! The budget: what it never exceeds, in what order it grants, what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use common::{Bell, Item, never, poll, poll_with, run_all, turn};
use standpipe_buffer::{Budget, BudgetError, Lanes, Permit};
use std::time::Instant;

/// Something that lets holders in; `Hold` should keep the bytes for as long as it lives.
trait Gate: Clone + 'static {
    type Hold: 'static;
    fn enter(&self, bytes: u64) -> impl Future<Output = Self::Hold> + 'static;
}

impl Gate for Budget {
    type Hold = Permit;
    fn enter(&self, bytes: u64) -> impl Future<Output = Permit> + 'static {
        let acquire = self.acquire(bytes);
        async move { acquire.await.unwrap() }
    }
}

/// The planted fault of K1: the permit ends with the function that acquired it.
#[derive(Clone)]
struct DropsPermit(Budget);

impl Gate for DropsPermit {
    type Hold = ();
    fn enter(&self, bytes: u64) -> impl Future<Output = ()> + 'static {
        let acquire = self.0.acquire(bytes);
        async move {
            let _permit = acquire.await.unwrap();
        }
    }
}

/// The planted fault of "large requests starve": whoever comes takes what is free, again and again.
#[derive(Clone)]
struct Barges(Budget);

impl Gate for Barges {
    type Hold = Permit;
    fn enter(&self, bytes: u64) -> impl Future<Output = Permit> + 'static {
        let budget = self.0.clone();
        async move {
            loop {
                if let Some(permit) = budget.try_acquire(bytes) {
                    return permit;
                }
                turn().await;
            }
        }
    }
}

fn holders_stay_within(gate: &impl Gate, limit: u64) -> Result<(), String> {
    let (held, most) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(0_u64)));
    let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for holder in 0..100 {
        let bytes = 1 + holder * 7 % limit;
        let (gate, held, most) = (gate.clone(), Rc::clone(&held), Rc::clone(&most));
        tasks.push(Box::pin(async move {
            for _ in 0..5 {
                let hold = gate.enter(bytes).await;
                held.set(held.get() + bytes);
                most.set(most.get().max(held.get()));
                turn().await;
                held.set(held.get() - bytes);
                drop(hold);
            }
        }));
    }
    run_all(tasks)?;
    if most.get() <= limit { Ok(()) } else { Err(format!("{} bytes held of {limit}", most.get())) }
}

#[test]
fn k1_a_permit_lives_as_long_as_its_holder() {
    let budget = Budget::new(100);
    holders_stay_within(&budget, 100).unwrap();
    assert_eq!((budget.in_use(), budget.waiters()), (0, 0));
    assert!(budget.peak() > 50 && budget.peak() <= 100);

    let refused = holders_stay_within(&DropsPermit(Budget::new(100)), 100);
    assert!(refused.unwrap_err().contains("held of 100"));
}

/// A large request against small ones that always have a successor.
fn large_gets_in(gate: &impl Gate) -> Result<(), String> {
    let done = Rc::new(Cell::new(false));
    let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for small in 0..20 {
        let (gate, done) = (gate.clone(), Rc::clone(&done));
        tasks.push(Box::pin(async move {
            // Out of step with each other, so that there is never a moment without a holder.
            for _ in 0..small % 3 {
                turn().await;
            }
            while !done.get() {
                let _hold = gate.enter(10).await;
                turn().await;
                turn().await;
            }
        }));
    }
    let (gate, large_done) = (gate.clone(), Rc::clone(&done));
    tasks.push(Box::pin(async move {
        turn().await;
        let _hold = gate.enter(100).await;
        large_done.set(true);
    }));
    run_all(tasks)
}

#[test]
fn a_large_request_is_not_starved() {
    large_gets_in(&Budget::new(100)).unwrap();
    assert!(large_gets_in(&Barges(Budget::new(100))).is_err());
}

#[test]
fn grants_are_first_come_first_served() {
    let budget = Budget::new(10);
    let mut first = budget.try_acquire(10).unwrap();
    let order = [6, 1, 8, 2, 2, 5];
    let mut waiting: Vec<_> = order.iter().map(|&bytes| Box::pin(budget.acquire(bytes))).collect();
    for acquire in &mut waiting {
        assert!(poll(acquire.as_mut()).is_pending());
    }
    assert_eq!(budget.waiters(), 6);

    drop(first.split(5).unwrap());
    assert!(budget.try_acquire(1).is_none(), "free bytes belong to the oldest waiter");
    for acquire in &mut waiting {
        assert!(poll(acquire.as_mut()).is_pending(), "5 free bytes are collected for the first, who wants 6");
    }
    drop(first);

    let mut granted = Vec::new();
    let mut held = Vec::new();
    while granted.len() < order.len() {
        for (place, acquire) in waiting.iter_mut().enumerate() {
            if !granted.contains(&place)
                && let Poll::Ready(permit) = poll(acquire.as_mut())
            {
                granted.push(place);
                held.push(permit.unwrap());
            }
        }
        drop(held.remove(0));
    }
    assert_eq!(granted, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_grant_wakes_exactly_its_waiter() {
    let budget = Budget::new(10);
    let permit = budget.try_acquire(10).unwrap();
    let (bell_a, bell_b) = (Bell::new(), Bell::new());
    let (mut a, mut b) = (Box::pin(budget.acquire(10)), Box::pin(budget.acquire(1)));
    assert!(poll_with(a.as_mut(), &bell_a).is_pending());
    assert!(poll_with(b.as_mut(), &bell_b).is_pending());
    drop(permit);
    assert_eq!((bell_a.rings(), bell_b.rings()), (1, 0));
    assert_eq!(budget.in_use(), 10, "a grant counts before it is picked up");
}

/// One oversized request among ordinary ones.
fn the_rest_go_on(
    acquire: impl Fn(&Budget, u64) -> Pin<Box<dyn Future<Output = bool>>>,
) -> Result<(), String> {
    let budget = Budget::new(100);
    let passed = Rc::new(Cell::new(0));
    let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for bytes in [60, 101, 70, 100] {
        let (asked, passed) = (acquire(&budget, bytes), Rc::clone(&passed));
        tasks.push(Box::pin(async move { passed.set(passed.get() + u32::from(asked.await)) }));
    }
    run_all(tasks)?;
    if passed.get() == 3 { Ok(()) } else { Err(format!("{} of 3 passed", passed.get())) }
}

#[test]
fn m12_an_oversized_request_is_refused_and_the_rest_go_on() {
    let budget = Budget::new(100);
    let refused = budget.acquire_blocking(101).unwrap_err();
    assert_eq!(refused, BudgetError::TooLarge { bytes: 101, limit: 100 });
    let message = refused.to_string();
    assert!(message.contains("101") && message.contains("100"), "{message}");

    the_rest_go_on(|budget, bytes| {
        let acquire = budget.acquire(bytes);
        Box::pin(async move { acquire.await.is_ok() })
    })
    .unwrap();

    // Planted: the oversized one waits in line for bytes that cannot come.
    let line = Rc::new(Cell::new(0_u32));
    let arrivals = Rc::new(Cell::new(0_u32));
    let stuck = the_rest_go_on(move |budget, bytes| {
        let (budget, line, place) = (budget.clone(), Rc::clone(&line), arrivals.get());
        arrivals.set(place + 1);
        Box::pin(async move {
            loop {
                if line.get() == place
                    && let Some(_permit) = budget.try_acquire(bytes)
                {
                    line.set(place + 1);
                    return true;
                }
                turn().await;
            }
        })
    });
    assert!(stuck.is_err());
}

#[cfg(feature = "planted")]
#[test]
fn m12_an_oversized_request_that_waits_is_found() {
    use standpipe_buffer::planted::{Plant, plant};
    plant(Some(Plant::QueuesOversized));
    let stuck = the_rest_go_on(|budget, bytes| {
        let acquire = budget.acquire(bytes);
        Box::pin(async move { acquire.await.is_ok() })
    });
    plant(None);
    assert!(stuck.is_err());
}

#[test]
fn m6_memory_goes_back_when_the_item_is_dropped_and_not_before() {
    /// Whether `bytes` were still taken when the commit was over but the items still held.
    fn outlives(hold: impl Fn(Permit) -> Option<Permit>) -> bool {
        let (budget, lanes, now) = (Budget::new(10), Lanes::new(never()), Instant::now());
        let permit = budget.try_acquire(10).unwrap();
        let mut item = Item::new(1, 1, 10);
        item.permit = hold(permit);
        lanes.push(1, item, now).unwrap();
        lanes.flush_all();
        let taken = lanes.try_take(now).unwrap();
        let during = budget.in_use();
        let mut items = Vec::new();
        taken.complete_with(|item| items.push(item));
        let after = budget.in_use();
        drop(items);
        assert_eq!(budget.in_use(), 0);
        (during, after) == (10, 10)
    }
    assert!(outlives(Some));
    // Planted: the permit is given back when the item enters the buffer.
    assert!(!outlives(|_| None));
}

#[test]
fn permits_split_and_merge() {
    let budget = Budget::new(10);
    let mut permit = budget.try_acquire(10).unwrap();
    assert!(permit.split(11).is_none());
    let part = permit.split(4).unwrap();
    assert_eq!((permit.bytes(), part.bytes(), budget.in_use()), (6, 4, 10));
    permit.merge(part).unwrap();
    assert_eq!((permit.bytes(), budget.in_use()), (10, 10));

    let other = Budget::new(5);
    let foreign = permit.merge(other.try_acquire(5).unwrap()).unwrap_err();
    assert_eq!((foreign.bytes(), other.in_use()), (5, 5));
    drop((permit, foreign));
    assert_eq!((budget.in_use(), other.in_use()), (0, 0));
}

#[test]
fn closing_refuses_who_waits_and_who_comes_and_leaves_permits_alone() {
    let budget = Budget::new(10);
    let permit = budget.try_acquire(10).unwrap();
    let bell = Bell::new();
    let mut waiting = Box::pin(budget.acquire(1));
    assert!(poll_with(waiting.as_mut(), &bell).is_pending());
    budget.close();
    assert_eq!(bell.rings(), 1);
    assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Err(BudgetError::Closed))));
    assert_eq!(budget.acquire_blocking(1).unwrap_err(), BudgetError::Closed);
    assert_eq!(budget.in_use(), 10);
    drop(permit);
    assert_eq!(budget.in_use(), 0);
    assert!(budget.is_closed() && budget.try_acquire(1).is_none());
}
