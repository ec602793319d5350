use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use standpipe_buffer::Policy;
use standpipe_harness::{Allocations, Context, Figure, Outcome, Sample, Workload, check};
use tokio::runtime::Builder;

use super::ours::Buffer;

const PRODUCERS: u32 = 4;
const PUSH_BYTES: u64 = 100;
const LIMIT_BYTES: u64 = 1 << 20;

pub(super) fn workloads() -> Vec<Workload> {
    let what = "push single rows of 100 B into a lane each, with 1 MiB for all; 1 thread takes batches of 1,000 and completes them: calls of \
                the allocator for a row, after the warm-up";
    vec![
        Workload::new("buffer.allocations.threads", format!("4 threads {what}"), |context| {
            run(context, threads)
        })
        .full_only(),
        Workload::new("buffer.allocations.tasks", format!("4 tasks on 2 threads {what}"), |context| {
            run(context, tasks)
        })
        .full_only(),
    ]
}

/// Pushes into the buffer until the end, then says how many rows that were.
type Push = fn(&Buffer, Instant) -> Outcome<u64>;

fn run(context: &Context, push: Push) -> Outcome<Sample> {
    let policy = Policy { rows_max: 1000, ..Policy::default() };
    let buffer = Buffer::new(LIMIT_BYTES, policy);
    let taken = AtomicU64::new(0);
    // As long a warm-up as what is measured: everything has had the size it needs.
    let end = Instant::now() + context.span * 2;
    let (rows, allocations) = thread::scope(|scope| -> Outcome<_> {
        let taker = scope.spawn(|| {
            let mut taking = buffer.taking();
            while let Some(batch) = taking.next() {
                taken.fetch_add(batch.rows(), Ordering::Relaxed);
                batch.complete(|_| ());
            }
        });
        let producers = scope.spawn(|| push(&buffer, end));
        thread::sleep(context.span);
        let (before, allocations) = (taken.load(Ordering::Relaxed), Allocations::so_far());
        // Until shortly before the end, so that ending is not counted.
        thread::sleep(end.saturating_duration_since(Instant::now()).saturating_sub(Duration::from_millis(5)));
        let allocations = allocations.since();
        let rows = taken.load(Ordering::Relaxed) - before;
        let pushed = producers.join().map_err(|_| "a producer panicked")?;
        buffer.close();
        taker.join().map_err(|_| "the taker panicked")?;
        check("rows taken", taken.load(Ordering::Relaxed), pushed?)?;
        Ok((rows, allocations))
    })?;
    buffer.check_empty()?;
    let per_row = |of: u64| of as f64 / rows.max(1) as f64;
    Ok(Sample::of([
        Figure::told("allocations", per_row(allocations.count), "calls/row"),
        Figure::told("allocated", per_row(allocations.bytes), "B/row"),
        Figure::told("rows", rows as f64, "rows"),
    ]))
}

fn threads(buffer: &Buffer, end: Instant) -> Outcome<u64> {
    thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|lane| {
                scope.spawn(move || -> Outcome<u64> {
                    let (mut rows, mut now) = (0, Instant::now());
                    while now < end {
                        buffer.push_blocking(lane, 1, PUSH_BYTES, now)?;
                        rows += 1;
                        now = Instant::now();
                    }
                    Ok(rows)
                })
            })
            .collect();
        producers.into_iter().map(|producer| producer.join().map_err(|_| "a producer panicked")?).sum()
    })
}

fn tasks(buffer: &Buffer, end: Instant) -> Outcome<u64> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|lane| {
            let buffer = buffer.clone();
            runtime.spawn(async move {
                let (mut rows, mut now) = (0, Instant::now());
                while now < end {
                    buffer.push(lane, 1, PUSH_BYTES, now).await?;
                    rows += 1;
                    now = Instant::now();
                }
                Outcome::Ok(rows)
            })
        })
        .collect();
    let mut rows = 0;
    for producer in producers {
        rows += runtime.block_on(producer)??;
    }
    Ok(rows)
}
