//! M9: after a burst the buffer's own memory is what it was before. One test, as it counts what the whole process allocates.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;
mod live;

use std::time::{Duration, Instant};

use common::Item;
use standpipe_buffer::{Budget, Buffer, Policy};

#[global_allocator]
static ALLOCATOR: live::Live = live::Live;

const LANES: u64 = 1000;
const ITEMS: u64 = if cfg!(miri) { 10_000 } else { 1_000_000 };
/// What tables may keep for good, whatever came.
const KEPT_MAX: i64 = 64 << 10;

fn item(number: u64) -> Item {
    Item::new(number, 1, 100)
}

/// Bytes more than before, once the burst was taken and time went by.
fn after_a_burst() -> Result<i64, String> {
    let buffer = Buffer::new(Policy::default(), Budget::new(1 << 30));
    let mut now = Instant::now();
    buffer.try_push(0, item(0)).unwrap();
    now += Duration::from_secs(2);
    buffer.try_take(now).unwrap().complete();
    let before = live::bytes();
    for number in 0..ITEMS {
        buffer.try_push(number % LANES, item(number)).unwrap();
    }
    now += Duration::from_secs(2);
    let (mut items, peak) = (0, live::bytes() - before);
    while let Some(taken) = buffer.try_take(now) {
        items += taken.len() as u64;
        taken.complete();
    }
    assert_eq!(items, ITEMS);
    for _ in 0..4 {
        now += Duration::from_secs(1);
        assert!(buffer.try_take(now).is_none());
    }
    let left = live::bytes() - before;
    println!("{ITEMS} items over {LANES} lanes: {peak} bytes at the peak, {left} left");
    if left > KEPT_MAX { Err(format!("{left} bytes stay")) } else { Ok(left) }
}

/// A lane that becomes empty again and again before anything is let go.
fn after_many_batches() {
    let buffer = Buffer::new(Policy { rows_max: 1, ..Policy::default() }, Budget::new(1 << 30));
    let now = Instant::now();
    let mut before = 0;
    for number in 0..ITEMS / 10 {
        buffer.try_push(0, item(number)).unwrap();
        buffer.try_take(now).unwrap().complete();
        if number == ITEMS / 200 {
            before = live::bytes();
        }
    }
    let grown = live::bytes() - before;
    assert!(grown < KEPT_MAX, "{grown} bytes for batches that are done");
}

#[test]
fn m9_memory_is_back_after_a_burst() {
    after_a_burst().unwrap();
    after_many_batches();
    #[cfg(feature = "planted")]
    {
        use standpipe_buffer::planted::{Plant, plant};
        for what in [Plant::KeepsSpares, Plant::KeepsLanes] {
            plant(Some(what));
            let found = after_a_burst();
            plant(None);
            println!("{what:?}: {}", found.expect_err("the plant was not found"));
        }
    }
}
