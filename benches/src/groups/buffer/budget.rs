use std::{
    pin::pin,
    task::{Context as Polled, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use standpipe_buffer::Budget;
use standpipe_harness::{Context, Figure, Latency, Outcome, Sample, Workload, check};
use tokio::{runtime::Builder, task::yield_now};

/// Operations between two looks at the clock.
const TURN: u64 = 1000;
const REQUEST_BYTES: u64 = 10 << 10;

pub(super) fn workloads() -> Vec<Workload> {
    vec![
        Workload::new("buffer.budget.w1", "1 thread reserves 10 KiB and gives them back; nobody waits", alone),
        Workload::new("buffer.budget.t2", "2 threads reserve 10 KiB and give them back; nobody waits", |context| {
            threads(context, 2)
        }),
        Workload::new("buffer.budget.t4", "4 threads reserve 10 KiB and give them back; nobody waits", |context| {
            threads(context, 4)
        })
        .full_only(),
        Workload::new(
            "buffer.budget.w10",
            "10 tasks on 2 threads share room for 4: each reserves 10 KiB, holds them over a yield, gives them back \
             (closed loop, latency of reserving)",
            contended,
        )
        .full_only(),
    ]
}

fn alone(context: &Context) -> Outcome<Sample> {
    let budget = Budget::new(4 * REQUEST_BYTES);
    let mut polled = Polled::from_waker(Waker::noop());
    let (reserved, took_s) = context.repeat(|| {
        for _ in 0..TURN {
            match pin!(budget.acquire(REQUEST_BYTES)).poll(&mut polled) {
                Poll::Ready(permit) => drop(permit?),
                Poll::Pending => return Err("the budget made its only user wait".into()),
            }
        }
        Ok(TURN)
    })?;
    check("bytes still in use", budget.in_use(), 0)?;
    check("the most in use", budget.peak(), REQUEST_BYTES)?;
    Ok(Sample::of([Figure::throughput(reserved as f64, took_s, "reservations/s")]))
}

/// Threads that have nothing in common but the budget.
fn threads(context: &Context, count: u64) -> Outcome<Sample> {
    let budget = Budget::new(4 * count * REQUEST_BYTES);
    let phase = |span: Duration| -> Outcome<(u64, f64)> {
        let began = Instant::now();
        let reserve = || {
            let mut reserved = 0;
            while began.elapsed() < span {
                for _ in 0..TURN {
                    drop(budget.acquire_blocking(REQUEST_BYTES)?);
                }
                reserved += TURN;
            }
            Outcome::Ok(reserved)
        };
        thread::scope(|scope| {
            let all: Vec<_> = (0..count).map(|_| scope.spawn(reserve)).collect();
            let mut reserved = 0;
            for one in all {
                reserved += one.join().map_err(|_| "a thread panicked")??;
            }
            Ok((reserved, began.elapsed().as_secs_f64()))
        })
    };
    phase(context.warm_up())?;
    let (reserved, took_s) = phase(context.span)?;
    check("bytes still in use", budget.in_use(), 0)?;
    Ok(Sample::of([Figure::throughput(reserved as f64, took_s, "reservations/s")]))
}

fn contended(context: &Context) -> Outcome<Sample> {
    const TASKS: u64 = 10;
    let budget = Budget::new(4 * REQUEST_BYTES);
    let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
    let phase = |span: Duration| -> Outcome<(f64, Latency)> {
        let began = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let budget = budget.clone();
                runtime.spawn(async move {
                    let mut latency = Latency::since(began);
                    while began.elapsed() < span {
                        let before = Instant::now();
                        let permit = budget.acquire(REQUEST_BYTES).await?;
                        latency.record_duration(before.elapsed());
                        yield_now().await;
                        drop(permit);
                    }
                    Outcome::Ok(latency)
                })
            })
            .collect();
        let mut latency = Latency::since(began);
        for task in tasks {
            latency.merge(&runtime.block_on(task)??);
        }
        Ok((began.elapsed().as_secs_f64(), latency))
    };
    phase(context.warm_up())?;
    let (took_s, latency) = phase(context.span)?;
    check("bytes still in use", budget.in_use(), 0)?;
    check("tasks still waiting", budget.waiters(), 0)?;
    check("the most in use is within the budget", budget.peak() <= budget.limit(), true)?;
    Ok(Sample::of([Figure::throughput(latency.count() as f64, took_s, "reservations/s")])
        .with_latency(&latency))
}
