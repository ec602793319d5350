//! Rows M1, M3, M6, M8 and M10 of `docs/known-failures.md`: what each asks holds, and is found not to hold where the failure is
//! planted. M4, M7 and M12 are beside what they concern; M9 is in `memory.rs`, and M8 is tried in every order by loom.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use common::{Item, Stopped, never, poll};
use standpipe_buffer::{Budget, Buffer, BufferError, Policy, Reason, Weigh, Weight};

/// Lanes that are far from due fill the budget to its limit, and one more waits: relief makes room.
fn a_full_budget_comes_free(lanes: u64) -> Result<(), String> {
    let buffer = Buffer::new(never(), Budget::new(10_000));
    let clock = Stopped::at(Instant::now());
    for number in 0..1000 {
        buffer.try_push(number % lanes, Item::new(number, 1, 10)).unwrap();
    }
    assert!(matches!(buffer.try_push(0, Item::new(0, 1, 10)), Err(BufferError::Full(_))));
    let mut waits = Box::pin(buffer.push(7, Item::new(1000, 1, 10), &clock));
    assert!(poll(waits.as_mut()).is_pending());
    let mut batches = 0;
    while poll(waits.as_mut()).is_pending() {
        let now = Instant::now();
        let Some(taken) = buffer.try_take(now) else {
            return Err(format!("parked for ever, {batches} batches on"));
        };
        assert_eq!(taken.reason(), Reason::Pressure);
        taken.complete();
        batches += 1;
    }
    Ok(())
}

#[test]
fn m1_a_thousand_lanes_below_their_triggers_do_not_park_a_writer() {
    a_full_budget_comes_free(1000).unwrap();
    #[cfg(feature = "planted")]
    is_found(standpipe_buffer::planted::Plant::RelievesNobody, || a_full_budget_comes_free(1000));
}

#[test]
fn m3_an_open_lane_that_fills_the_budget_is_taken() {
    a_full_budget_comes_free(1).unwrap();
    #[cfg(feature = "planted")]
    is_found(standpipe_buffer::planted::Plant::SkipsOpenLanes, || a_full_budget_comes_free(1));
}

/// The bytes of a batch are in use for as long as its items are in memory.
fn bytes_outlive_the_batch() -> Result<(), String> {
    let buffer = Buffer::new(Policy { rows_max: 10, ..never() }, Budget::new(1000));
    for number in 0..10 {
        buffer.try_push(1, Item::new(number, 1, 10)).unwrap();
    }
    let in_use = |wanted: u64, when: &str| match buffer.budget().in_use() {
        now if now == wanted => Ok(()),
        now => Err(format!("{when}: {now} bytes in use, {wanted} in memory")),
    };
    let taken = buffer.try_take(Instant::now()).unwrap();
    in_use(100, "taken")?;
    assert!(taken.give_back());
    in_use(100, "given back")?;
    let taken = buffer.try_take(Instant::now()).unwrap();
    let mut early = Ok(());
    taken.complete_with(|_| {
        if early.is_ok() {
            early = in_use(100, "while the items are handed over");
        }
    });
    early?;
    in_use(0, "completed")
}

#[test]
fn m6_bytes_are_in_use_until_the_batch_is_done() {
    bytes_outlive_the_batch().unwrap();
    #[cfg(feature = "planted")]
    is_found(standpipe_buffer::planted::Plant::ReleasesWhenTaken, bytes_outlive_the_batch);
}

/// Notes the least that was in use when one of them was dropped.
struct Witness(Budget, Arc<AtomicU64>);

impl Weigh for Witness {
    fn weight(&self) -> Weight {
        Weight { rows: 1, bytes: 10 }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.1.fetch_min(self.0.in_use(), Ordering::Relaxed);
    }
}

#[test]
fn m6_bytes_are_in_use_until_the_last_item_is_dropped() {
    type Ending = fn(Buffer<u8, Witness>);
    let endings: [(&str, Ending); 4] = [
        ("completed", |buffer| buffer.try_take(Instant::now()).unwrap().complete()),
        ("discarded", |buffer| buffer.discard(&1)),
        ("discarded while out", |buffer| {
            let taken = buffer.try_take(Instant::now()).unwrap();
            buffer.discard(&1);
            drop(taken);
        }),
        ("dropped with the buffer", drop),
    ];
    for (ending, end) in endings {
        let (budget, least) = (Budget::new(1000), Arc::new(AtomicU64::new(u64::MAX)));
        let buffer = Buffer::new(Policy { rows_max: 3, ..never() }, budget.clone());
        for _ in 0..3 {
            assert!(buffer.try_push(1, Witness(budget.clone(), Arc::clone(&least))).is_ok());
        }
        end(buffer);
        assert_eq!((least.load(Ordering::Relaxed), budget.in_use()), (30, 0), "{ending}");
    }
}

#[cfg(feature = "planted")]
fn is_found(what: standpipe_buffer::planted::Plant, row: impl Fn() -> Result<(), String>) {
    standpipe_buffer::planted::plant(Some(what));
    let found = row();
    standpipe_buffer::planted::plant(None);
    println!("{what:?}: {}", found.expect_err("the plant was not found"));
}

/// Producers push until they are refused, takers take until the end: nothing hangs, and all that was accepted comes out.
fn all_come_out(rounds: u64, before: impl Fn() + Sync) {
    for round in 0..rounds {
        let buffer = Buffer::new(Policy { rows_max: 20, ..never() }, Budget::new(2000));
        let (accepted, taken) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for producer in 0..3_u64 {
                let (buffer, accepted, before) = (&buffer, &accepted, &before);
                scope.spawn(move || {
                    before();
                    let Ok(feed) = buffer.feed(producer % 2) else { return };
                    for number in 0.. {
                        let item = Item::new(number, 1, 10 + number % 50);
                        let pushed = match number % 3 {
                            0 => buffer.push_blocking(producer, item).is_ok(),
                            _ => feed.push_blocking(item).is_ok(),
                        };
                        if !pushed {
                            return;
                        }
                        accepted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for _ in 0..2 {
                let (buffer, taken, before) = (&buffer, &taken, &before);
                scope.spawn(move || {
                    before();
                    while let Some(batch) = buffer.take_blocking() {
                        taken.fetch_add(batch.len() as u64, Ordering::Relaxed);
                        batch.complete();
                    }
                });
            }
            before();
            let wanted = round * 37 % 1500;
            while accepted.load(Ordering::Relaxed) < wanted {
                std::thread::yield_now();
            }
            buffer.close();
        });
        assert_eq!(accepted.into_inner(), taken.into_inner(), "round {round}");
        assert_eq!((buffer.budget().in_use(), buffer.active_lanes()), (0, 0));
    }
}

#[test]
fn m8_closing_beside_pushes_loses_nothing_and_ends() {
    let rounds = if cfg!(miri) { 3 } else { 200 };
    all_come_out(rounds, || ());
}

/// Not how fast (that is measured elsewhere), but that nobody waits for one who cannot run.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn m10_all_threads_on_one_core_make_progress() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).unwrap();
    let first = (0..CpuSet::MAX_CPU).find(|&core| allowed.is_set(core)).unwrap();
    let mut one = CpuSet::new();
    one.set(first);
    // The thread of this test too; it ends with the test.
    all_come_out(20, || sched_setaffinity(None, &one).unwrap());
}
