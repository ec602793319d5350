use std::{
    thread,
    time::{Duration, Instant},
};

use standpipe_buffer::{Budget, Lanes, Permit, Policy};
use standpipe_harness::{Context, Figure, Outcome, Sample, Workload, check};

use super::Item;
use crate::setup::settings;

const PRODUCERS: u32 = 4;
const BLOCK_ROWS: u64 = 10;
const BLOCK_BYTES: u64 = BLOCK_ROWS * 100;

pub(super) fn workloads() -> Vec<Workload> {
    let measures = "4 threads push blocks of 10 rows of 100 B, each into a lane of its own, with 4 MiB for all; \
                    1 thread takes batches of 1,000 rows and completes them";
    // Five threads on two cores settle into one of two rhythms, each for a second: too rough for short samples.
    vec![Workload::new("buffer.producers.w4", measures, run).full_only()]
}

fn run(context: &Context) -> Outcome<Sample> {
    phase(context, context.warm_up())?;
    let (rows, took_s) = phase(context, context.span)?;
    Ok(Sample::of([Figure::throughput(rows as f64, took_s, "rows/s")]))
}

fn phase(context: &Context, span: Duration) -> Outcome<(u64, f64)> {
    let over = Policy { rows_max: 1000, ..Policy::default() };
    let policy = settings::policy_over(&context.settings, over)?;
    let budget = Budget::new(4 << 20);
    let lanes = Lanes::new(policy);
    let began = Instant::now();
    let (pushed, taken) = thread::scope(|scope| {
        let taker = scope.spawn(|| take(&lanes));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|key| {
                let (budget, lanes) = (&budget, &lanes);
                scope.spawn(move || push(budget, lanes, key, began + span))
            })
            .collect();
        let pushed: Outcome<u64> =
            producers.into_iter().map(|producer| producer.join().map_err(|_| "a producer panicked")?).sum();
        lanes.close();
        (pushed, taker.join().map_err(|_| "the taker panicked"))
    });
    let took_s = began.elapsed().as_secs_f64();
    let taken = taken??;
    check("rows taken", taken, pushed?)?;
    check("bytes still in use", budget.in_use(), 0)?;
    Ok((taken, took_s))
}

fn push(budget: &Budget, lanes: &Lanes<u32, Item>, key: u32, end: Instant) -> Outcome<u64> {
    let mut number = 0;
    loop {
        let permit = room(budget, lanes)?;
        let pushed = Instant::now();
        if pushed >= end {
            return Ok(number * BLOCK_ROWS);
        }
        lanes.push(key, Item { number, rows: BLOCK_ROWS, pushed, permit }, pushed)?;
        number += 1;
    }
}

/// As a sink waits for memory: whoever has to makes the lanes due.
fn room(budget: &Budget, lanes: &Lanes<u32, Item>) -> Outcome<Permit> {
    if let Some(permit) = budget.try_acquire(BLOCK_BYTES) {
        return Ok(permit);
    }
    let _pressure = lanes.pressure();
    Ok(budget.acquire_blocking(BLOCK_BYTES)?)
}

fn take(lanes: &Lanes<u32, Item>) -> Outcome<u64> {
    let (mut rows, mut next) = (0, [0; PRODUCERS as usize]);
    while let Some(batch) = lanes.take_blocking() {
        let next = &mut next[*batch.key() as usize];
        for item in &batch {
            check("the block that comes next in its lane", item.number, *next)?;
            *next += 1;
            rows += item.rows;
        }
        batch.complete();
    }
    Ok(rows)
}
