//! Acquire duties 1 and 4.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use standpipe_core::{Acquire, Lease};

use super::{AcquireFixture, SimConnect};
use crate::poll::{poll_times, within, yield_once};

/// Polls that a future which must stay pending is given.
const PATIENCE: usize = 64;

/// K1: with all of them lent nobody gets another one, until one comes back.
pub async fn acquire_duty_1_k1_never_more_than_the_limit_is_lent<F: AcquireFixture>(fixture: &F) {
    let connect = SimConnect::new();
    let pool = fixture.open(connect.clone(), 3);
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(within("a free place", pool.acquire()).await.unwrap());
    }
    let mut fourth = pin!(pool.acquire());
    assert!(poll_times(fourth.as_mut(), PATIENCE).await.is_none(), "four are lent where three may be");
    assert_eq!((connect.open(), connect.open_most()), (3, 3));
    let freed = leases.remove(1);
    let number = freed.number();
    drop(freed);
    let fourth = within("the place that came free", fourth).await.unwrap();
    assert_eq!(fourth.number(), number, "the connection that came back");
    assert_eq!(connect.open_most(), 3);
}

/// K1: forty ask at once, hold for some polls and give back.
pub async fn acquire_duty_1_k1_a_crowd_never_holds_more_than_the_limit<F: AcquireFixture>(fixture: &F) {
    let connect = SimConnect::new();
    let pool = fixture.open(connect.clone(), 4);
    let (held, most, served) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let (pool, held, most, served) = (&pool, &held, &most, &served);
    let mut crowd: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for number in 0..40 {
        crowd.push(Box::pin(async move {
            for turn in 0..5 {
                let lease = pool.acquire().await.unwrap();
                held.set(held.get() + 1);
                most.set(most.get().max(held.get()));
                for _ in 0..(number + turn) % 4 {
                    yield_once().await;
                }
                held.set(held.get() - 1);
                served.set(served.get() + 1);
                drop(lease);
            }
        }));
    }
    let everyone = poll_fn(|context| {
        crowd.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if crowd.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    });
    within("forty with five turns each", everyone).await;
    assert_eq!((most.get(), served.get()), (4, 200), "held at once, served in all");
    assert_eq!(connect.open_most(), 4, "open at once");
}

/// The next one gets the connection that was given back, and no new one is opened.
pub async fn acquire_duty_4_a_dropped_lease_gives_the_connection_back<F: AcquireFixture>(fixture: &F) {
    let connect = SimConnect::new();
    let pool = fixture.open(connect.clone(), 2);
    for _ in 0..20 {
        let lease = within("the only one who asks", pool.acquire()).await.unwrap();
        assert_eq!(lease.number(), 1);
    }
    assert_eq!((connect.opened(), connect.open()), (1, 1), "opened, still open");
}

/// A discarded connection is closed; its place goes to whoever waits, with a new connection.
pub async fn acquire_duty_4_a_discarded_lease_frees_its_place<F: AcquireFixture>(fixture: &F) {
    let connect = SimConnect::new();
    let pool = fixture.open(connect.clone(), 1);
    let mut lease = within("the only one who asks", pool.acquire()).await.unwrap();
    for number in 1..=5 {
        assert_eq!(lease.number(), number, "a discarded connection was lent again");
        let mut next = pin!(pool.acquire());
        assert!(poll_times(next.as_mut(), PATIENCE).await.is_none(), "two are lent where one may be");
        lease.discard();
        lease = within("the place of a discarded one", next).await.unwrap();
        assert_eq!((connect.open(), connect.open_most()), (1, 1), "a discarded connection is still open");
    }
    lease.discard();
    within("a discarded connection to be closed", async {
        while connect.open() > 0 {
            yield_once().await;
        }
    })
    .await;
}

/// A connection that is known to be broken when it comes back is closed and replaced.
pub async fn acquire_duty_4_a_broken_connection_is_not_lent_again<F: AcquireFixture>(fixture: &F) {
    let connect = SimConnect::new();
    let pool = fixture.open(connect.clone(), 1);
    for number in 1..=5 {
        let mut lease = within("the place of a broken one", pool.acquire()).await.unwrap();
        assert_eq!(lease.number(), number, "a broken connection was lent again");
        lease.set_broken();
    }
    let lease = within("the place of a broken one", pool.acquire()).await.unwrap();
    assert_eq!((lease.number(), connect.open(), connect.open_most()), (6, 1, 1));
}
