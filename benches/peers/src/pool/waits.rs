//! How long one waits when all wait in turn, against what a queue that is served in order would make of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use standpipe_harness::{Context, Figure, Outcome, Sample};

use super::{
    Hold, Made, Pool,
    archived::Fastpool,
    contenders::{Bb8, Deadpool, Standpipe},
    two_lists::TwoLists,
};
use crate::{
    closed_loop::{self, Measured, Tally},
    comparison::Comparison,
};

/// What is compared: so many tasks on so many connections, each held so.
#[derive(Clone, Copy)]
struct Crowd {
    tasks: u32,
    connections_max: u32,
    hold: Hold,
    /// What each waits when all are served in order.
    ideal: Duration,
}

pub(super) fn comparisons() -> Vec<Comparison> {
    let hold = Duration::from_millis(2);
    let few = Crowd { tasks: 4, connections_max: 2, hold: Hold::Sleep(hold), ideal: hold };
    let work = Duration::from_micros(100);
    // Work is computing, so two cores serve, and eight connections are held by those whom they serve in turn.
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32).min(8);
    let many =
        Crowd { tasks: 50, connections_max: 8, hold: Hold::Work(work), ideal: work * (50 - 8) / cores };
    vec![
        compared(
            "pool.t4_on_2_wait",
            "4 tasks share 2 connections, each held over a sleep of 2 ms; the longest wait, and as a multiple of one hold as measured",
            few,
        ),
        compared(
            "pool.t50_on_8_work",
            "50 tasks share 8 connections, each held over 100 µs of computing with a yield in the middle; the wait, and its \
             p99 as a multiple of what a queue in order makes of it on these cores",
            many,
        ),
    ]
}

fn compared(name: &str, work: &str, crowd: Crowd) -> Comparison {
    Comparison::new(name, work)
        .with("standpipe", "standpipe-pool, its background work running", move |context| {
            run::<Standpipe>(context, crowd)
        })
        .with("deadpool", "deadpool 0.13, managed", move |context| run::<Deadpool>(context, crowd))
        .with("bb8", "bb8 0.9, not testing on check-out", move |context| run::<Bb8>(context, crowd))
        .with("fastpool", "fastpool 1.1, bounded", move |context| run::<Fastpool>(context, crowd))
        .with("home-two-lists", "two locked lists behind a semaphore", move |context| {
            run::<TwoLists>(context, crowd)
        })
}

fn run<P: Pool>(context: &Context, crowd: Crowd) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    let made = Arc::new(Made::default());
    let pool = runtime.block_on(P::new(&made, crowd.connections_max))?;
    let measured = Measured::from_now(context);
    let tasks = (0..crowd.tasks).map(|_| wait(pool.clone(), crowd.hold, measured)).collect();
    let tally = closed_loop::in_tasks(&runtime, measured, tasks)?;
    drop(pool);
    drop(runtime);
    let ideal_us = match crowd.hold {
        // A sleep is longer than asked for: each turn is a wait and a hold, and the wait is half of it when all is in order.
        Hold::Sleep(_) => {
            context.span.as_secs_f64() * 1e6 * f64::from(crowd.tasks) / tally.work().max(1) as f64 / 2.0
        }
        _ => crowd.ideal.as_secs_f64() * 1e6,
    };
    let sample = tally.sample("acquires/s");
    let of_ideal = |name: &str, percentile: f64| {
        Figure::told(name, tally.latency_us(percentile) / ideal_us, "times the ideal")
    };
    Ok(sample.with(of_ideal("p99/ideal", 99.0)).with(of_ideal("max/ideal", 100.0)))
}

async fn wait<P: Pool>(pool: P, hold: Hold, measured: Measured) -> Outcome<Tally> {
    let mut tally = Tally::new(measured);
    let mut now = Instant::now();
    while !measured.is_over(now) {
        let lent = pool.turn(hold).await?;
        tally.time(now, lent);
        now = Instant::now();
        tally.count(1, now);
    }
    Ok(tally)
}
