use std::{
    thread,
    time::{Duration, Instant},
};

use standpipe_buffer::Policy;
use standpipe_harness::{Better, Context, Figure, Kind, Latency, Outcome, Pace, Sample, Workload, check};

use super::{drain::Drain, ours::Buffer};

const LANES: u32 = 16;
const DRAIN_ROWS_PER_S: f64 = 500_000.0;
const BATCH_ROWS: u64 = 1000;
const PUSH_ROWS: u64 = 10;
const PUSH_BYTES: u64 = PUSH_ROWS * 100;
const LIMIT_BYTES: u64 = 4 << 20;
const AGE: Duration = Duration::from_millis(10);
/// The lane with little to do, and the one with too much.
const QUIET: u32 = 0;
const FLOODING: u32 = 1;
const QUIET_PER_S: f64 = 500.0;
const FLOODERS: u32 = 4;

pub(super) fn workloads() -> Vec<Workload> {
    vec![
        Workload::new(
            "buffer.fair.lanes16",
            "16 threads push blocks of 10 rows of 100 B as fast as they can, into a lane each, with 4 MiB for all; 1 thread takes \
             batches of 1,000 rows for a target that writes 500,000 rows/s: Jain's index of what the lanes got",
            lanes,
        )
        .full_only(),
        Workload::new(
            "buffer.fair.quiet",
            "a row of 100 B each 2 ms (open loop) until it is written, at most 10 ms of them in the buffer: alone, then beside a \
             lane that 4 threads fill as fast as they can, with 4 MiB for both; the target writes 500,000 rows/s in batches of 1,000",
            quiet,
        )
        .full_only(),
    ]
}

fn buffer() -> Buffer {
    Buffer::new(LIMIT_BYTES, Policy { rows_max: BATCH_ROWS, age_max: AGE, ..Policy::default() })
}

fn lanes(context: &Context) -> Outcome<Sample> {
    let buffer = buffer();
    let began = Instant::now() + context.warm_up();
    let end = began + context.span;
    let (written, pushed) = thread::scope(|scope| -> Outcome<_> {
        let taker = scope.spawn(|| write(&buffer, began, end));
        let producers: Vec<_> = (0..LANES)
            .map(|lane| {
                scope.spawn({
                    let buffer = &buffer;
                    move || flood(buffer, lane, end)
                })
            })
            .collect();
        let pushed: Outcome<u64> =
            producers.into_iter().map(|producer| producer.join().map_err(|_| "a producer panicked")?).sum();
        buffer.close();
        Ok((taker.join().map_err(|_| "the taker panicked")?, pushed?))
    })?;
    buffer.check_empty()?;
    check("rows written", written.in_all, pushed)?;
    let rows: u64 = written.of_lane.iter().sum();
    let jain = Figure::new("jain", jain(&written.of_lane), "(1 is equal)", Kind::Told, Better::Higher);
    let least =
        written.of_lane.iter().min().copied().unwrap_or(0) as f64 / (rows as f64 / f64::from(LANES)).max(1.0);
    Ok(Sample::of([
        Figure::throughput(rows as f64, context.span.as_secs_f64(), "rows/s"),
        jain,
        Figure::new("least_of_mean", least * 100.0, "%", Kind::Told, Better::Higher),
    ]))
}

/// The square of the sum by the sum of the squares: 1 where all have as much, 1/n where one has all.
fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|share| *share as f64).sum();
    let squares: f64 = shares.iter().map(|share| (*share as f64).powi(2)).sum();
    if squares > 0.0 { sum * sum / squares / shares.len() as f64 } else { 0.0 }
}

struct Written {
    /// Within the measured time.
    of_lane: [u64; LANES as usize],
    in_all: u64,
    /// Of the quiet lane.
    latency: Latency,
}

fn write(buffer: &Buffer, began: Instant, end: Instant) -> Written {
    let (mut taking, mut drain) = (buffer.taking(), Drain::new(DRAIN_ROWS_PER_S));
    // What is pushed at the end is not written at the target's rate.
    let margin = ((end - began) / 4).min(AGE * 20);
    let mut written = Written { of_lane: [0; LANES as usize], in_all: 0, latency: Latency::since(began) };
    while let Some(batch) = taking.next() {
        if Instant::now() < end {
            drain.write(batch.rows());
        }
        let (lane, rows, now) = (batch.lane(), batch.rows(), Instant::now());
        written.in_all += rows;
        if now >= began && now < end {
            written.of_lane[lane as usize] += rows;
        }
        batch.complete(|rows| {
            if lane == QUIET && rows.intended >= began && rows.intended + margin < end {
                written.latency.record(rows.intended, now);
            }
        });
    }
    written
}

fn flood(buffer: &Buffer, lane: u32, end: Instant) -> Outcome<u64> {
    let mut rows = 0;
    loop {
        let now = Instant::now();
        if now >= end {
            return Ok(rows);
        }
        buffer.push_blocking(lane, PUSH_ROWS, PUSH_BYTES, now)?;
        rows += PUSH_ROWS;
    }
}

fn quiet(context: &Context) -> Outcome<Sample> {
    let alone = beside(context, 0)?;
    let flooded = beside(context, FLOODERS)?;
    let (alone_us, flooded_us) = (alone.percentile_us(99.0), flooded.percentile_us(99.0));
    let ratio =
        Figure::new("p99_beside_by_alone", flooded_us / alone_us.max(1.0), "x", Kind::Latency, Better::Lower);
    Ok(Sample::of([
        ratio,
        Figure::told("p50_alone", alone.percentile_us(50.0), "µs"),
        Figure::told("p99_alone", alone_us, "µs"),
        Figure::told("p50_beside", flooded.percentile_us(50.0), "µs"),
        Figure::told("p99_beside", flooded_us, "µs"),
    ]))
}

/// The latency of the quiet lane beside so many who flood the other; half of the span.
fn beside(context: &Context, flooders: u32) -> Outcome<Latency> {
    let buffer = buffer();
    let start = Instant::now();
    let began = start + context.warm_up() / 2;
    let end = began + (context.span / 2).max(AGE * 12);
    let (written, pushed) = thread::scope(|scope| -> Outcome<_> {
        let taker = scope.spawn(|| write(&buffer, began, end));
        let trickle = scope.spawn(|| trickle(&buffer, start, end));
        let floods: Vec<_> = (0..flooders).map(|_| scope.spawn(|| flood(&buffer, FLOODING, end))).collect();
        let pushed: Outcome<u64> = floods
            .into_iter()
            .chain([trickle])
            .map(|producer| producer.join().map_err(|_| "a producer panicked")?)
            .sum();
        buffer.close();
        Ok((taker.join().map_err(|_| "the taker panicked")?, pushed?))
    })?;
    buffer.check_empty()?;
    check("rows written", written.in_all, pushed)?;
    Ok(written.latency)
}

fn trickle(buffer: &Buffer, start: Instant, end: Instant) -> Outcome<u64> {
    let mut rows = 0;
    for intended in Pace::new(start, QUIET_PER_S).until(end) {
        buffer.push_blocking(QUIET, 1, 100, intended)?;
        rows += 1;
    }
    Ok(rows)
}
