//! In a steady state an item costs no allocation, and a batch some few however large it is.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Instant;

use common::{Item, never};
use standpipe_buffer::{Budget, Buffer, Policy};
use standpipe_harness::{Allocations, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BATCH: u64 = 10_000;

#[test]
fn items_allocate_nothing_in_steady_state() {
    let buffer = Buffer::new(Policy { rows_max: BATCH, ..never() }, Budget::new(1 << 30));
    let feed = buffer.feed(1).unwrap();
    let now = Instant::now();
    let mut many = Vec::with_capacity(1000);
    let mut round = |by_batch: bool| {
        let before = Allocations::so_far();
        for number in 0..BATCH {
            if !by_batch {
                feed.push_blocking(Item::new(number, 1, 10)).unwrap();
                continue;
            }
            many.push(Item::new(number, 1, 10));
            if many.len() == 1000 {
                feed.push_batch_blocking(&mut many).unwrap();
            }
        }
        let pushing = before.since().count;
        buffer.try_take(now).unwrap().complete();
        (pushing, before.since().count - pushing)
    };
    for by_batch in [false, true] {
        for _ in 0..3 {
            round(by_batch);
        }
        for _ in 0..10 {
            let (pushing, taking) = round(by_batch);
            assert_eq!(pushing, 0, "{BATCH} pushes, in batches: {by_batch}");
            assert!(taking <= 8, "{taking} allocations for a batch");
        }
    }
}
