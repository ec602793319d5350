//! Once there were as many waiters before, waiting for bytes allocates nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use standpipe_buffer::{Acquire, Budget};
use standpipe_harness::{Allocations, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn poll(acquire: &mut Acquire) -> bool {
    match Pin::new(acquire).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(permit) => {
            drop(permit.unwrap());
            true
        }
        Poll::Pending => false,
    }
}

/// A hundred who wait, of whom every third goes away; the rest are served.
fn crowd(budget: &Budget, waiting: &mut Vec<Acquire>) {
    let all = budget.try_acquire(100).unwrap();
    waiting.extend((0..100).map(|place| budget.acquire(1 + place % 100)));
    for acquire in waiting.iter_mut() {
        assert!(!poll(acquire));
    }
    let mut place = 0;
    waiting.retain(|_| {
        place += 1;
        place % 3 != 0
    });
    drop(all);
    while !waiting.is_empty() {
        waiting.retain_mut(|acquire| !poll(acquire));
    }
    assert_eq!(budget.in_use(), 0);
}

#[test]
fn waiting_allocates_nothing_in_steady_state() {
    let (budget, mut waiting) = (Budget::new(100), Vec::new());
    crowd(&budget, &mut waiting);
    drop(budget.acquire_blocking(1).unwrap());
    let mut round = || {
        let before = Allocations::so_far();
        for _ in 0..100 {
            crowd(&budget, &mut waiting);
            drop(budget.acquire_blocking(1).unwrap());
            drop(budget.try_acquire(1).unwrap());
        }
        before.since().count
    };
    // The thread that runs the tests allocates now and then, at times of its own; what waiting costs, it costs each time.
    let least = (0..10).map(|_| round()).min();
    assert_eq!(least, Some(0), "allocations in 100 rounds of 100 who wait");
}
