//! One component of a write at a time, each alone: a closed loop, so that nothing waits but for what is named.

mod acquire;
mod append;
mod apply;
mod batch;
mod memory;
mod sqlite_thread;

use std::time::Instant;

use standpipe_harness::{Context, Figure, Latency, Outcome, Workload};

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::new(
            "component.reserve",
            "1 thread reserves 10 KiB of the budget and gives them back (a mean of 100 is one value)",
            memory::reserve,
        ),
        Workload::new(
            "component.encode",
            "1 thread encodes a row of 10 columns through the typed writers (a mean of 100 is one value)",
            memory::encode,
        ),
        Workload::new(
            "component.append",
            "1 thread appends a record of 1 KiB to the log and blocks until it is durable; durability group",
            append::run,
        ),
        Workload::new(
            "component.batch",
            "from when a thread pushes the last of 10 blocks until a task that waits on another thread has the \
             batch: what wakes it included",
            batch::run,
        ),
        Workload::new(
            "component.acquire",
            "1 task borrows a SQLite connection from the pool, which asks it SELECT 1 on its own thread first",
            acquire::checked,
        ),
        Workload::new(
            "component.connect",
            "1 task borrows a SQLite connection from the pool, which opens the file for it on a thread of its own",
            acquire::connected,
        )
        .full_only(),
        Workload::new(
            "component.apply",
            "1 task applies a batch of 1,000 rows of 10 columns to SQLite: begin, write, advance, commit",
            apply::run,
        ),
    ]
}

/// Repeats an operation that says when its measured part began and ended, for the span and after warming up.
fn closed_loop(
    context: &Context,
    mut operation: impl FnMut() -> Outcome<(Instant, Instant)>,
) -> Outcome<Latency> {
    let warm = Instant::now();
    while warm.elapsed() < context.warm_up() {
        operation()?;
    }
    let began = Instant::now();
    let mut latency = Latency::since(began);
    loop {
        let (operation_began, ended) = operation()?;
        latency.record(operation_began, ended);
        if began.elapsed() >= context.span {
            return Ok(latency);
        }
    }
}

/// As [`closed_loop`], of operations too short for the clock: a value is the mean of 100 in a row.
fn closed_loop_of_short(
    context: &Context,
    mut operation: impl FnMut() -> Outcome<()>,
) -> Outcome<[Figure; 2]> {
    const TURN: u32 = 100;
    let turns = closed_loop(context, || {
        let began = Instant::now();
        for _ in 0..TURN {
            operation()?;
        }
        Ok((began, Instant::now()))
    })?;
    // The histogram counts whole nanoseconds, of which a single operation takes a few.
    let mean = |percent| turns.percentile_us(percent) / f64::from(TURN);
    Ok([Figure::latency_us("p50", mean(50.0)), Figure::latency_us("p95", mean(95.0)).only_told()])
}
