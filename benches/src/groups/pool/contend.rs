use std::time::{Duration, Instant};

use standpipe_harness::{Context, Figure, Latency, Outcome, Sample, Workload, check};
use tokio::{runtime::Builder, task::yield_now};

use super::{check_at_rest, pool};

pub(super) fn workloads() -> Vec<Workload> {
    [10, 50, 100]
        .map(|tasks| {
            let measures = format!(
                "{tasks} tasks on 2 threads share 8 connections: each borrows one, holds it over a yield, gives it \
                 back (closed loop, latency of borrowing)"
            );
            let run = move |context: &Context| run(context, tasks);
            let workload = Workload::new(format!("pool.contend.c{tasks}"), measures, run);
            if tasks == 50 { workload } else { workload.full_only() }
        })
        .into()
}

fn run(context: &Context, tasks: u64) -> Outcome<Sample> {
    let (pool, counts) = pool(context, None)?;
    let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
    let phase = |span: Duration| -> Outcome<(f64, Latency)> {
        let began = Instant::now();
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                let pool = pool.clone();
                runtime.spawn(async move {
                    let mut latency = Latency::since(began);
                    while began.elapsed() < span {
                        let before = Instant::now();
                        let mut lease = pool.acquire().await?;
                        latency.record_duration(before.elapsed());
                        lease.lent += 1;
                        yield_now().await;
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
    let (_, warmed) = phase(context.warm_up())?;
    let (took_s, latency) = phase(context.span)?;
    check_at_rest(&pool, &counts)?;
    check("connections made and still open", counts.made(), pool.status().idle as u64)?;
    let lent = runtime.block_on(async {
        let mut leases = Vec::new();
        for _ in 0..counts.made() {
            leases.push(pool.acquire().await?);
        }
        Outcome::Ok(leases.iter().map(|lease| lease.lent).sum::<u64>())
    })?;
    check("times lent", lent, warmed.count() + latency.count())?;
    Ok(Sample::of([Figure::throughput(latency.count() as f64, took_s, "leases/s")]).with_latency(&latency))
}
