//! What the buffers see of a budget, and what its own parts promise each other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use super::{Budget, Relief};
use crate::Acquire;

/// Counts its calls, and whether the budget was pressed at each.
struct Bell {
    calls: AtomicUsize,
    budget: Budget,
}

impl Bell {
    fn on(budget: &Budget) -> Arc<Self> {
        let bell = Arc::new(Self { calls: AtomicUsize::new(0), budget: budget.clone() });
        let weak: Weak<Self> = Arc::downgrade(&bell);
        budget.listen(weak);
        bell
    }

    fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

impl Relief for Bell {
    fn relieve(&self) {
        // Takes every lock there is: the call is outside of all of them.
        assert!(self.budget.is_pressed() && self.budget.waiters() < 1000);
        drop(self.budget.try_acquire(0));
        self.budget.listen(Weak::<Self>::new());
        self.calls.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(acquire: &mut Acquire) -> Poll<()> {
    Pin::new(acquire).poll(&mut Context::from_waker(Waker::noop())).map(|permit| drop(permit.unwrap()))
}

/// A hundred who wait, and how often relief was called for.
fn relief_for_a_hundred_waiters() -> Result<(), String> {
    let budget = Budget::new(100);
    let bell = Bell::on(&budget);
    let all = budget.try_acquire(70).unwrap();
    if bell.calls() != 0 {
        return Err("called below soft".into());
    }
    let mut waiting: Vec<_> = (0..100).map(|_| budget.acquire(31)).collect();
    for acquire in &mut waiting {
        assert!(poll(acquire).is_pending());
    }
    match bell.calls() {
        1 => {}
        calls => return Err(format!("{calls} calls for one shortage")),
    }
    assert!(budget.is_pressed());
    drop(all);
    // One after the other gets its bytes and gives them back: still the same shortage.
    while !waiting.is_empty() {
        waiting.retain_mut(|acquire| poll(acquire).is_pending());
    }
    if bell.calls() != 0 || budget.is_pressed() {
        return Err("called again for the same shortage".into());
    }
    let above = budget.try_acquire(76).unwrap();
    match bell.calls() {
        1 => {}
        calls => return Err(format!("{calls} calls for the next shortage")),
    }
    drop(above);
    Ok(())
}

#[test]
fn m4_relief_runs_once_and_not_once_per_waiter() {
    relief_for_a_hundred_waiters().unwrap();
}

#[cfg(feature = "planted")]
#[test]
fn m4_relief_for_each_waiter_is_found() {
    use crate::planted::{Plant, plant};
    plant(Some(Plant::RelievesEachWaiter));
    let found = relief_for_a_hundred_waiters();
    plant(None);
    assert!(found.unwrap_err().contains("100 calls"));
}

#[test]
fn pressure_begins_above_soft_and_ends_at_it() {
    let budget = Budget::with_soft(10, 20);
    let bell = Bell::on(&budget);
    let mut permit = budget.try_acquire(10).unwrap();
    assert!(!budget.is_pressed());
    let more = budget.try_acquire(1).unwrap();
    assert!(budget.is_pressed());
    let yet_more = budget.try_acquire(5).unwrap();
    drop(more);
    assert!(budget.is_pressed(), "15 of 20");
    drop(yet_more);
    assert!(!budget.is_pressed());
    assert_eq!(bell.calls(), 1);

    drop(permit.split(8));
    let mut large = budget.acquire(19);
    assert!(poll(&mut large).is_pending());
    assert!(budget.is_pressed(), "2 of 20, and one who waits for 19");
    drop(large);
    assert!(!budget.is_pressed(), "nobody waits any more");
    assert_eq!(bell.calls(), 1);
}

#[test]
fn a_listener_that_comes_late_is_called_and_a_dead_one_forgotten() {
    let budget = Budget::new(100);
    let all = budget.try_acquire(100).unwrap();
    let bell = Bell::on(&budget);
    assert_eq!(bell.calls(), 1);
    drop(all);
    // The bell puts a dead one on the list at each call.
    assert_eq!(budget.shared.listeners(), 2);
    drop(budget.try_acquire(100));
    assert_eq!((bell.calls(), budget.shared.listeners()), (1, 2));
    drop(bell);
    drop(budget.try_acquire(100));
    assert_eq!(budget.shared.listeners(), 0);
}

#[test]
fn listeners_that_are_gone_do_not_pile_up_where_nobody_calls() {
    let budget = Budget::new(100);
    for _ in 0..1_000 {
        drop(Bell::on(&budget));
    }
    assert!(budget.shared.listeners() <= 8);
}

#[test]
fn a_permit_dissolves_into_bytes_that_come_back_in_one_piece() {
    let budget = Budget::new(10);
    let bytes = (0..5).map(|_| budget.try_acquire(2).unwrap().dissolve()).sum();
    assert_eq!((bytes, budget.in_use()), (10, 10));
    let permit = budget.permit(4);
    budget.release(bytes - 4);
    budget.release(0);
    assert_eq!(budget.in_use(), 4);
    drop(permit);
    assert_eq!((budget.in_use(), budget.peak()), (0, 10));
}

#[test]
fn places_are_reused_and_a_crowd_leaves_nothing_behind() {
    let budget = Budget::new(1);
    let all = budget.try_acquire(1).unwrap();
    for crowd in [10, 100_000, 10] {
        let mut waiting: Vec<_> = (0..crowd).map(|_| budget.acquire(1)).collect();
        for acquire in &mut waiting {
            assert!(poll(acquire).is_pending());
        }
        assert!(budget.shared.places() >= crowd);
        drop(waiting);
        assert!(budget.shared.places() <= 256, "M9: memory goes back");
    }
    drop(all);
}

struct Panics;

impl std::task::Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker of somebody else's");
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_from_waking() {
    let budget = Budget::new(100);
    let all = budget.try_acquire(100).unwrap();
    let panics = Waker::from(Arc::new(Panics));
    let mut waiting: Vec<_> = (0..50).map(|_| budget.acquire(1)).collect();
    for (place, acquire) in waiting.iter_mut().enumerate() {
        let waker = if place % 3 == 0 { &panics } else { Waker::noop() };
        assert!(Pin::new(acquire).poll(&mut Context::from_waker(waker)).is_pending());
    }
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(all)));
    assert!(panicked.is_err(), "the panic is not swallowed");
    assert_eq!((budget.waiters(), budget.in_use()), (0, 50), "all were granted");
    for acquire in &mut waiting {
        assert!(poll(acquire).is_ready());
    }
    assert_eq!(budget.in_use(), 0);
}

#[test]
fn counts_are_exact_between_threads() {
    let budget = Budget::with_soft(30, 40);
    let most = AtomicUsize::new(0);
    let held = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (budget, most, held) = (&budget, &most, &held);
            scope.spawn(move || {
                for turn in 0..5_000_usize {
                    let bytes = 1 + (turn * 7 + thread) % 25;
                    let permit = budget.acquire_blocking(bytes as u64).unwrap();
                    most.fetch_max(held.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
                    held.fetch_sub(bytes, Ordering::SeqCst);
                    drop(permit);
                }
            });
        }
    });
    assert_eq!((budget.in_use(), budget.waiters(), budget.is_pressed()), (0, 0, false));
    assert!(budget.peak() <= 40 && budget.peak() >= most.load(Ordering::SeqCst) as u64);
}
