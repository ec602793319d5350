use std::{
    future::poll_fn,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use standpipe_harness::{Context, Figure, Outcome, Sample, Workload, check, resident_bytes};
use standpipe_pool::Pool;
use tokio::{runtime::Builder, task::yield_now};

use super::{check_at_rest, nothing::Nothing, pool};

const TASKS: u64 = 32;
/// A leak of 16 bytes in each operation is beyond this within a few seconds.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

pub(super) fn workloads() -> Vec<Workload> {
    let measures = "32 tasks on 2 threads churn 8 connections for the whole span: borrow and give back, hold over a \
                    yield, discard, detach, cancel while waiting; memory that grew, connections open at the end";
    vec![Workload::new("pool.leak", measures, run).full_only()]
}

fn run(context: &Context) -> Outcome<Sample> {
    let (pool, counts) = pool(context, None)?;
    let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
    let phase = |span: Duration| -> Outcome<u64> {
        let end = Instant::now() + span;
        let tasks: Vec<_> = (1..=TASKS).map(|seed| runtime.spawn(churn(pool.clone(), seed, end))).collect();
        tasks.into_iter().map(|task| runtime.block_on(task)?).sum()
    };
    phase(context.warm_up())?;
    let before = resident_bytes().unwrap_or(0);
    let began = Instant::now();
    let operations = phase(context.span)?;
    let took_s = began.elapsed().as_secs_f64();
    let grown = resident_bytes().unwrap_or(0).saturating_sub(before);

    check_at_rest(&pool, &counts)?;
    let open = counts.open();
    check("memory that grew is within 16 MiB", grown <= GROWTH_BYTES_MAX, true)?;
    runtime.block_on(pool.close());
    check("connections open after closing", counts.open(), 0)?;
    Ok(Sample::of([
        Figure::throughput(operations as f64, took_s, "operations/s").only_told(),
        Figure::told("grown", grown as f64 / 1024.0, "KiB"),
        Figure::told("open", open as f64, "connections"),
    ]))
}

/// Borrows in every way until the end; returns how often.
async fn churn(pool: Pool<Nothing>, seed: u64, end: Instant) -> Outcome<u64> {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut times = 0;
    while Instant::now() < end {
        // Xorshift: the same churn in every run, as far as the tasks' turns are the same.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match random % 8 {
            0 => pool.acquire().await?.discard(),
            1 => drop(pool.acquire().await?.detach()),
            2 | 3 => cancel(&pool).await,
            4 | 5 => {
                let _lease = pool.acquire().await?;
                yield_now().await;
            }
            _ => drop(pool.acquire().await?),
        }
        times += 1;
        if times % 32 == 0 {
            yield_now().await;
        }
    }
    Ok(times)
}

/// Asks for a connection and gives up at once, or a turn later.
async fn cancel(pool: &Pool<Nothing>) {
    let mut acquire = pin!(pool.acquire());
    let waits = poll_fn(|context| Poll::Ready(acquire.as_mut().poll(context).is_pending())).await;
    if waits {
        yield_now().await;
    }
}
