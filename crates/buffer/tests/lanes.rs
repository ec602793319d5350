//! Lanes: order through failures, turns, joining a commit, removal, closing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use common::{Bell, Item, complete, never, numbers};
use standpipe_buffer::{Budget, JoinLimit, Lanes, Policy, Reason, Weight};

const NO_LIMIT: JoinLimit = JoinLimit { rows: u64::MAX, bytes: u64::MAX, lanes: usize::MAX };

fn lanes_of_two() -> Lanes<u8, Item> {
    Lanes::new(Policy { rows_max: 2, ..never() })
}

fn fill(lanes: &Lanes<u8, Item>, key: u8, numbers: std::ops::Range<u64>, now: Instant) {
    for number in numbers {
        lanes.push(key, Item::new(number, 1, 1), now).unwrap();
    }
}

#[test]
fn a_lane_that_is_out_is_nobody_elses_and_order_holds() {
    let now = Instant::now();
    let lanes = lanes_of_two();
    fill(&lanes, 1, 0..6, now);
    let first = lanes.try_take(now).unwrap();
    assert!(lanes.try_take(now).is_none(), "lane 1 has four more, and is out");
    assert_eq!((lanes.rows(), lanes.out()), (4, Weight { rows: 2, bytes: 2 }));
    fill(&lanes, 1, 6..7, now);
    assert!(first.give_back());

    let mut seen = Vec::new();
    lanes.close();
    while let Some(taken) = lanes.try_take(now) {
        seen.extend(complete(taken));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!((lanes.lanes(), lanes.rows(), lanes.out()), (0, 0, Weight::ZERO));
}

#[test]
fn a_dropped_batch_goes_back_also_by_a_panic() {
    let now = Instant::now();
    let lanes = lanes_of_two();
    fill(&lanes, 1, 0..3, now);
    drop(lanes.try_take(now).unwrap());
    assert_eq!(lanes.rows(), 3);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _taken = lanes.try_take(now).unwrap();
        panic!("the commit failed");
    }));
    assert!(panicked.is_err());
    assert_eq!(numbers(lanes.try_take(now).unwrap().items()), [0, 1]);
}

#[test]
fn giving_back_wakes_a_taker() {
    let now = Instant::now();
    let lanes = lanes_of_two();
    fill(&lanes, 1, 0..2, now);
    let taken = lanes.try_take(now).unwrap();
    let bell = Bell::new();
    let waker = Waker::from(bell.clone());
    let mut taker = lanes.taker();
    assert!(taker.poll_take(now, &mut Context::from_waker(&waker)).is_pending());
    drop(taken);
    assert_eq!(bell.rings(), 1);
    assert!(taker.poll_take(now, &mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn a_busy_lane_does_not_starve_the_others() {
    let now = Instant::now();
    let lanes = lanes_of_two();
    fill(&lanes, 1, 0..100, now);
    for quiet in 2..6 {
        fill(&lanes, quiet, 0..2, now);
    }
    let order: Vec<_> = (0..8)
        .map(|_| {
            let taken = lanes.try_take(now).unwrap();
            let key = *taken.key();
            taken.complete();
            key
        })
        .collect();
    assert_eq!(order, [1, 2, 3, 4, 5, 1, 1, 1]);
}

#[test]
fn more_lanes_join_a_commit_within_its_limit() {
    let now = Instant::now();
    let lanes = lanes_of_two();
    for key in 1..=5 {
        fill(&lanes, key, 0..1, now);
    }
    fill(&lanes, 6, 0..3, now);
    let first = lanes.try_take(now).unwrap();
    assert_eq!((*first.key(), first.reason()), (6, Reason::Rows));

    let more = lanes.take_more(now, JoinLimit { lanes: 2, ..NO_LIMIT });
    assert_eq!(more.iter().map(|taken| *taken.key()).collect::<Vec<_>>(), [1, 2]);
    assert!(more.iter().all(|taken| taken.reason() == Reason::Joined));
    let more_rows = lanes.take_more(now, JoinLimit { rows: 2, ..NO_LIMIT });
    assert_eq!(more_rows.len(), 2);
    assert!(lanes.take_more(now, JoinLimit { bytes: 0, ..NO_LIMIT }).is_empty());
    let rest = lanes.take_more(now, NO_LIMIT);
    assert_eq!(rest.len(), 1, "lane 6 has one more item and is out");
    assert!(lanes.take_more(now, NO_LIMIT).is_empty());
    for taken in more.into_iter().chain(more_rows).chain(rest) {
        taken.complete();
    }
    first.complete();
    assert_eq!((lanes.lanes(), lanes.rows()), (1, 1));
}

#[test]
fn a_joining_lane_is_cut_to_the_room_there_is() {
    let now = Instant::now();
    let lanes = Lanes::new(never());
    fill(&lanes, 1, 0..10, now);
    let more = lanes.take_more(now, JoinLimit { rows: 4, ..NO_LIMIT });
    assert_eq!(numbers(more[0].items()), [0, 1, 2, 3]);
    drop(more);
    assert_eq!(lanes.rows(), 10);
}

#[test]
fn a_flush_covers_what_is_there_and_nothing_later() {
    let now = Instant::now();
    let lanes = Lanes::new(never());
    fill(&lanes, 1, 0..2, now);
    fill(&lanes, 2, 0..1, now);
    lanes.flush(&1);
    lanes.flush(&9);
    let taken = lanes.try_take(now).unwrap();
    assert_eq!((*taken.key(), taken.reason()), (1, Reason::Flush));
    assert!(lanes.try_take(now).is_none());
    fill(&lanes, 1, 2..3, now);
    // A flush while the batch is out covers the batch if it comes back, and what waits behind it.
    lanes.flush_all();
    assert_eq!(*lanes.try_take(now).unwrap().key(), 2);
    assert!(taken.give_back());
    let all = std::iter::from_fn(|| lanes.try_take(now)).find(|taken| *taken.key() == 1).unwrap();
    assert_eq!(complete(all), [0, 1, 2]);
    fill(&lanes, 1, 3..4, now);
    assert_eq!(lanes.take_more(now, NO_LIMIT).len(), 2);
    lanes.try_take(now).unwrap().complete();
    assert!(lanes.try_take(now).is_none(), "item 3 came after the flush");
}

#[test]
fn a_discarded_lane_is_dropped_and_the_others_go_on() {
    let now = Instant::now();
    let lanes = lanes_of_two();
    let budget = Budget::new(100);
    for number in 0..3 {
        lanes.push(1, Item::with(number, budget.try_acquire(10).unwrap()), now).unwrap();
    }
    fill(&lanes, 2, 0..2, now);
    lanes.discard(&1);
    assert_eq!(budget.in_use(), 0);
    lanes.discard(&1);
    lanes.discard(&9);
    let taken = lanes.try_take(now).unwrap();
    assert_eq!(*taken.key(), 2);
    taken.complete();
    assert_eq!((lanes.lanes(), lanes.rows(), lanes.bytes()), (0, 0, 0));
    fill(&lanes, 1, 7..9, now);
    assert_eq!(complete(lanes.try_take(now).unwrap()), [7, 8], "the lane begins anew");
}

#[test]
fn a_batch_of_a_discarded_lane_does_not_come_back() {
    let now = Instant::now();
    let lanes = lanes_of_two();
    fill(&lanes, 1, 0..5, now);
    let taken = lanes.try_take(now).unwrap();
    lanes.discard(&1);
    fill(&lanes, 1, 10..12, now);
    assert!(lanes.try_take(now).is_none(), "one taker at a time for a key, discarded or not");
    assert!(!taken.give_back());
    assert_eq!(complete(lanes.try_take(now).unwrap()), [10, 11]);

    fill(&lanes, 1, 12..16, now);
    let taken = lanes.try_take(now).unwrap();
    lanes.discard(&1);
    fill(&lanes, 1, 16..18, now);
    assert_eq!(complete(taken), [12, 13], "what was written was written");
    assert_eq!(complete(lanes.try_take(now).unwrap()), [16, 17]);
    assert_eq!((lanes.lanes(), lanes.out()), (0, Weight::ZERO));
}

#[test]
fn a_lane_rests_and_the_others_go_on() {
    let now = Instant::now();
    let lanes = lanes_of_two();
    fill(&lanes, 1, 0..2, now);
    fill(&lanes, 2, 0..2, now);
    let later = now + std::time::Duration::from_secs(1);
    assert!(lanes.try_take(now).unwrap().give_back_until(later));
    let _pressure = lanes.pressure();
    lanes.flush_all();
    assert_eq!(*lanes.try_take(now).unwrap().key(), 2);
    lanes.take_more(now, NO_LIMIT).into_iter().for_each(|taken| assert_eq!(*taken.key(), 2));
    lanes.close();
    assert_eq!(lanes.deadline(), Some(later));
    lanes.try_take(now).unwrap().complete();
    assert!(lanes.try_take(now).is_none(), "lane 1 rests");
    assert_eq!(complete(lanes.try_take(later).unwrap()), [0, 1]);
}

#[test]
fn closing_drains_and_ends_only_when_nothing_can_come_back() {
    let now = Instant::now();
    let lanes = Lanes::new(never());
    fill(&lanes, 1, 0..1, now);
    lanes.close();
    assert!(lanes.is_closed());
    let refused = lanes.push(1, Item::new(9, 1, 1), now).unwrap_err();
    assert_eq!(refused.item.number, 9);

    let taken = lanes.try_take(now).unwrap();
    assert_eq!(taken.reason(), Reason::Close);
    let bells = [Bell::new(), Bell::new()];
    let mut takers: Vec<_> = bells.iter().map(|bell| (lanes.taker(), Waker::from(bell.clone()))).collect();
    for (taker, waker) in &mut takers {
        assert!(taker.poll_take(now, &mut Context::from_waker(waker)).is_pending(), "it might come back");
    }
    drop(taken);
    assert_eq!(bells[0].rings(), 1);
    let (taker, waker) = &mut takers[0];
    let Poll::Ready(Some(again)) = taker.poll_take(now, &mut Context::from_waker(waker)) else {
        panic!("the batch came back");
    };
    again.complete();
    assert_eq!(bells[1].rings(), 1, "the end wakes all who wait");
    for (taker, waker) in &mut takers {
        assert!(matches!(taker.poll_take(now, &mut Context::from_waker(waker)), Poll::Ready(None)));
    }
}

#[test]
fn one_taker_is_woken_for_each_due_lane() {
    let now = Instant::now();
    let lanes = lanes_of_two();
    let bells = [Bell::new(), Bell::new(), Bell::new()];
    let mut takers: Vec<_> = bells.iter().map(|bell| (lanes.taker(), Waker::from(bell.clone()))).collect();
    // The first item of each lane is there before, so that no deadline comes nearer later.
    fill(&lanes, 1, 0..1, now);
    fill(&lanes, 2, 0..1, now);
    for (taker, waker) in &mut takers {
        assert!(taker.poll_take(now, &mut Context::from_waker(waker)).is_pending());
    }
    let rings = || bells.iter().map(|bell| bell.rings()).collect::<Vec<_>>();
    fill(&lanes, 1, 1..2, now);
    assert_eq!(rings(), [1, 0, 0]);
    fill(&lanes, 2, 1..2, now);
    assert_eq!(rings(), [0, 1, 0]);
    // One takes both, the other finds nothing and waits again in its old place.
    let (first, waker) = &mut takers[0];
    let Poll::Ready(Some(one)) = first.poll_take(now, &mut Context::from_waker(waker)) else { panic!() };
    let two = lanes.try_take(now).unwrap();
    let (second, waker) = &mut takers[1];
    assert!(second.poll_take(now, &mut Context::from_waker(waker)).is_pending());
    drop(one);
    assert_eq!(rings(), [0, 1, 0]);
    drop(two);
    assert_eq!(rings(), [0, 0, 1]);
}

#[test]
fn handles_and_batches_can_be_sent() {
    fn sendable<T: Send + 'static>(_: &T) {}
    let lanes = lanes_of_two();
    let counts: HashMap<u8, u8> = HashMap::new();
    sendable(&counts);
    sendable(&lanes);
    sendable(&lanes.taker());
    let shared = lanes.clone();
    sendable(&async move { shared.take(&common::TokioClock).await });
}
