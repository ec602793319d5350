//! Acquire duties 2, 3 and 5.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use std::pin::{Pin, pin};

use standpipe_core::{Acquire, Error, ErrorKind};

use super::{AcquireFixture, SimConnect};
use crate::{
    Random,
    poll::{poll_once, poll_times, within, yield_once},
    target::Gate,
};

type Waiting<'a, P> = Pin<Box<dyn Future<Output = Result<<P as Acquire>::Lease, Error>> + 'a>>;

/// P10: whoever asked first is served first, even when those who came later are polled before, and so is a newcomer who finds a
/// connection just given back.
pub async fn acquire_duty_2_p10_grants_come_in_the_order_of_asking<F: AcquireFixture>(fixture: &F) {
    let pool = fixture.open(SimConnect::new(), 1);
    let mut lease = Some(within("the only one who asks", pool.acquire()).await.unwrap());
    let mut queue: Vec<(usize, Waiting<'_, F::Pool>)> = Vec::new();
    for number in 0..5 {
        queue.push((number, Box::pin(pool.acquire())));
        let (_, waiting) = queue.last_mut().unwrap();
        assert!(poll_once(waiting.as_mut()).await.is_none(), "two are lent where one may be");
    }
    for turn in 0..8 {
        drop(lease.take());
        // Newcomers join behind, and are polled first.
        let number = queue.last().unwrap().0 + 1;
        queue.push((number, Box::pin(pool.acquire())));
        let (served, granted) = within("one of those who wait", first_of::<F::Pool>(&mut queue)).await;
        assert_eq!(served, turn, "someone was served before those who came earlier");
        lease = Some(granted.unwrap());
        let (_, next) = &mut queue[0];
        assert!(poll_once(next.as_mut()).await.is_none(), "two are lent where one may be");
    }
}

/// Polls everyone, the last first, until one is served, and takes it out of the queue.
async fn first_of<'a, P: Acquire>(
    queue: &mut Vec<(usize, Waiting<'a, P>)>,
) -> (usize, Result<P::Lease, Error>) {
    loop {
        for place in (0..queue.len()).rev() {
            if let Some(granted) = poll_once(queue[place].1.as_mut()).await {
                return (queue.remove(place).0, granted);
            }
        }
        yield_once().await;
    }
}

/// P10, P3: those before and behind a waiter that gives up keep their order.
pub async fn acquire_duty_2_p10_a_waiter_that_leaves_does_not_stop_the_queue<F: AcquireFixture>(fixture: &F) {
    for leaves in 0..4 {
        let pool = fixture.open(SimConnect::new(), 1);
        let lease = within("the only one who asks", pool.acquire()).await.unwrap();
        let mut queue: Vec<(usize, Waiting<'_, F::Pool>)> = Vec::new();
        for number in 0..4 {
            queue.push((number, Box::pin(pool.acquire())));
            assert!(poll_once(queue[number].1.as_mut()).await.is_none());
        }
        // The one who leaves goes right after the connection came back: a place that was passed on to it must go further.
        drop(lease);
        drop(queue.remove(leaves));
        let mut order = Vec::new();
        while !queue.is_empty() {
            let (served, granted) = within("those who stayed", first_of::<F::Pool>(&mut queue)).await;
            order.push(served);
            drop(granted.unwrap());
        }
        let expected: Vec<usize> = (0..4).filter(|number| *number != leaves).collect();
        assert_eq!(order, expected, "waiter {leaves} left");
    }
}

/// P3: an `acquire` that would have to connect, dropped after each number of polls. Afterwards every place can be had.
pub async fn acquire_duty_3_p3_cancel_at_every_poll_while_connecting<F: AcquireFixture>(fixture: &F) {
    for polls in 0..8 {
        let connect = SimConnect::new();
        let pool = fixture.open(connect.clone(), 2);
        for _ in 0..5 {
            drop(poll_times(pin!(pool.acquire()), polls).await);
        }
        every_place_is_there::<F>(&pool, &connect, 2).await;
    }
    let connect = SimConnect::new();
    let pool = fixture.open(connect.clone(), 1);
    let gate = Gate::new();
    connect.hang_nth(1, gate.clone());
    {
        let mut hanging = pin!(pool.acquire());
        let at_gate = async {
            while !gate.is_reached() {
                assert!(poll_once(hanging.as_mut()).await.is_none(), "the connection hangs");
                yield_once().await;
            }
        };
        within("a pool to connect", at_gate).await;
    }
    // A pool may connect in the background; then it is the network that has to answer.
    gate.open();
    every_place_is_there::<F>(&pool, &connect, 1).await;
}

/// P3: an `acquire` that waits, dropped after each number of polls before and after the connection came back. The connection is
/// not lost on the way.
pub async fn acquire_duty_3_p3_cancel_at_every_poll_while_waiting<F: AcquireFixture>(fixture: &F) {
    for before in 0..4 {
        for after in 0..4 {
            let connect = SimConnect::new();
            let pool = fixture.open(connect.clone(), 1);
            let lease = within("the only one who asks", pool.acquire()).await.unwrap();
            {
                let mut waiting = pin!(pool.acquire());
                assert!(poll_times(waiting.as_mut(), before).await.is_none());
                drop(lease);
                drop(poll_times(waiting.as_mut(), after).await);
            }
            every_place_is_there::<F>(&pool, &connect, 1).await;
            assert_eq!(connect.opened(), 1, "a healthy connection was lost ({before}, {after} polls)");
        }
    }
}

/// P3: a thousand steps of asking, giving up, giving back and discarding, from three seeds.
pub async fn acquire_duty_3_p3_cancel_at_random<F: AcquireFixture>(fixture: &F) {
    for seed in 1..=3 {
        let mut random = Random::new(seed);
        let connect = SimConnect::new();
        let pool = fixture.open(connect.clone(), 3);
        let mut waiting: Vec<Waiting<'_, F::Pool>> = Vec::new();
        let mut leases = Vec::new();
        for _ in 0..1_000 {
            let pick = |random: &mut Random, len: usize| random.below(len as u64) as usize;
            match random.below(5) {
                0 if waiting.len() < 8 => waiting.push(Box::pin(pool.acquire())),
                1 if !waiting.is_empty() => drop(waiting.remove(pick(&mut random, waiting.len()))),
                2 if !leases.is_empty() => drop(leases.remove(pick(&mut random, leases.len()))),
                3 if !leases.is_empty() => {
                    standpipe_core::Lease::discard(leases.remove(pick(&mut random, leases.len())));
                }
                _ if !waiting.is_empty() => {
                    let place = pick(&mut random, waiting.len());
                    if let Some(lease) = poll_once(waiting[place].as_mut()).await {
                        drop(waiting.remove(place));
                        leases.push(lease.unwrap());
                    }
                }
                _ => yield_once().await,
            }
            assert!(leases.len() <= 3 && connect.open() <= 3, "seed {seed}: more than the limit");
        }
        waiting.clear();
        leases.clear();
        every_place_is_there::<F>(&pool, &connect, 3).await;
    }
}

/// All places can be had at once, no more than these, and no connection is left over.
async fn every_place_is_there<F: AcquireFixture>(pool: &F::Pool, connect: &SimConnect, most: usize) {
    let mut leases = Vec::new();
    for _ in 0..most {
        leases.push(within("a place that a dropped `acquire` had", pool.acquire()).await.unwrap());
    }
    assert!(poll_times(pin!(pool.acquire()), 16).await.is_none(), "more are lent than may be");
    assert_eq!(connect.open(), most as u64, "connections that are open and nobody has");
}

/// P5: whoever waits learns why no connection could be made: kind, code and text.
pub async fn acquire_duty_5_p5_the_reason_reaches_the_waiter<F: AcquireFixture>(fixture: &F) {
    let connect = SimConnect::new();
    connect.fail_all(Some(ErrorKind::Invalid));
    let pool = fixture.open(connect.clone(), 1);
    let mut queue: Vec<(usize, Waiting<'_, F::Pool>)> = Vec::new();
    for number in 0..3 {
        queue.push((number, Box::pin(pool.acquire())));
    }
    while !queue.is_empty() {
        let (_, outcome) = within("the reason", first_of::<F::Pool>(&mut queue)).await;
        let error = outcome.err().expect("no connection can be made");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("28P01")), "{error}");
        assert!(error.to_string().contains("password authentication failed"), "{error}");
    }
    assert_eq!(connect.open(), 0);
}

/// P5: after failures the places are there again.
pub async fn acquire_duty_5_p5_a_failed_connect_frees_its_place<F: AcquireFixture>(fixture: &F) {
    let connect = SimConnect::new();
    let pool = fixture.open(connect.clone(), 2);
    connect.fail_all(Some(ErrorKind::Invalid));
    for _ in 0..5 {
        assert!(within("the reason", pool.acquire()).await.is_err());
    }
    connect.fail_all(None);
    every_place_is_there::<F>(&pool, &connect, 2).await;
}
