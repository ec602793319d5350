//! What a lane is given outside of its turn, or in small pieces, and what that costs it and the others.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Instant;

use common::{Item, complete, never};
use standpipe_buffer::{JoinLimit, Lanes, Policy, Reason};

const ANY: JoinLimit = JoinLimit { rows: u64::MAX, bytes: u64::MAX, lanes: usize::MAX };

fn tens() -> Policy {
    Policy { rows_max: 10, ..never() }
}

/// Takes `count` batches and says how many came of each of two lanes.
fn taken_of(lanes: &Lanes<u32, Item>, now: Instant, count: usize) -> [usize; 2] {
    let mut of = [0; 2];
    for _ in 0..count {
        let batch = lanes.try_take(now).unwrap();
        of[*batch.key() as usize] += 1;
        batch.complete();
    }
    of
}

fn fill(lanes: &Lanes<u32, Item>, key: u32, batches: u64, now: Instant) {
    for number in 0..batches * 10 {
        lanes.push(key, Item::new(number, 1, 1), now).unwrap();
    }
}

#[test]
fn a_lane_that_joined_many_commits_does_not_owe_them_later() {
    let lanes = Lanes::<u32, Item>::new(tens());
    let now = Instant::now();
    for _ in 0..200 {
        fill(&lanes, 0, 1, now);
        lanes.take_more(now, ANY).into_iter().for_each(|batch| drop(complete(batch)));
    }
    fill(&lanes, 0, 100, now);
    fill(&lanes, 1, 100, now);
    assert_eq!(taken_of(&lanes, now, 20), [10, 10]);
}

#[test]
fn a_lane_that_was_taken_under_pressure_does_not_owe_it_later() {
    let lanes = Lanes::<u32, Item>::new(tens());
    let now = Instant::now();
    let pressure = lanes.pressure();
    for _ in 0..200 {
        for number in 0..9 {
            lanes.push(0, Item::new(number, 1, 1), now).unwrap();
        }
        let batch = lanes.try_take(now).unwrap();
        assert_eq!(batch.reason(), Reason::Pressure);
        batch.complete();
    }
    drop(pressure);
    fill(&lanes, 0, 100, now);
    fill(&lanes, 1, 100, now);
    assert_eq!(taken_of(&lanes, now, 20), [10, 10]);
}

#[test]
fn a_small_batch_that_fails_and_fails_leaves_the_others_their_turns() {
    let lanes = Lanes::<u32, Item>::new(Policy { rows_max: 10_000, ..never() });
    let now = Instant::now();
    for key in [0, 1] {
        lanes.push(key, Item::new(0, 1, 1), now).unwrap();
        lanes.flush(&key);
    }
    let mut of = [0; 2];
    for _ in 0..20 {
        let batch = lanes.try_take(now).unwrap();
        of[*batch.key() as usize] += 1;
        batch.give_back();
    }
    assert_eq!(of, [10, 10]);
}

#[test]
fn a_lane_that_is_flushed_at_each_item_leaves_the_others_their_turns() {
    let lanes = Lanes::<u32, Item>::new(Policy { rows_max: 10_000, ..never() });
    let now = Instant::now();
    let mut of = [0; 2];
    for _ in 0..20 {
        for key in [0, 1] {
            lanes.push(key, Item::new(0, 1, 1), now).unwrap();
            lanes.flush(&key);
        }
        let batch = lanes.try_take(now).unwrap();
        of[*batch.key() as usize] += 1;
        lanes.push(*batch.key(), Item::new(0, 1, 1), now).unwrap();
        lanes.flush(batch.key());
        batch.complete();
    }
    assert!(of[0] >= 8 && of[1] >= 8, "{of:?}");
}
