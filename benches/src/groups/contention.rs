//! Many writers into one sink.

use std::{sync::Arc, time::Instant};

use standpipe_harness::{Context, Figure, Outcome, Sample, Workload};
use tokio::task::JoinSet;

use crate::setup::{Flight, Pipeline, Plan};

/// Rows of one write.
const WRITE_ROWS: u64 = 100;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    let workload = |writers: u64| {
        let measures = format!(
            "{writers} writers (tasks) into one stream, {WRITE_ROWS} rows a write, each durable before the next; rows applied to SQLite a second, the last one included"
        );
        let workload =
            Workload::new(format!("contention.w{writers}"), measures, move |c| writers_of(c, writers));
        if matches!(writers, 4 | 32) { workload } else { workload.full_only() }
    };
    [2, 4, 8, 16, 32].map(workload).into()
}

fn writers_of(context: &Context, writers: u64) -> Outcome<Sample> {
    let writers = context.settings.get("run.writers", writers)?;
    let batch = context.settings.count("run.batch", WRITE_ROWS)?;
    let pipeline = Arc::new(Pipeline::open::<Flight>(context, Plan::new(&context.settings)?)?);
    let run_for = |span| {
        pipeline.runtime().block_on(async {
            let (began, first) = (Instant::now(), pipeline.numbered());
            let mut tasks = JoinSet::new();
            for _ in 0..writers {
                let pipeline = pipeline.clone();
                tasks.spawn(async move {
                    while began.elapsed() < span {
                        pipeline.write::<Flight>(batch).await?.durable().await?;
                    }
                    Outcome::Ok(())
                });
            }
            while let Some(done) = tasks.join_next().await {
                done??;
            }
            pipeline.sink().flush().await?;
            Outcome::Ok((pipeline.numbered() - first, began.elapsed().as_secs_f64()))
        })
    };
    // Short: what it leaves to be applied takes time of its own.
    run_for(context.warm_up() / 4)?;
    let (rows, seconds) = run_for(context.span)?;
    let pipeline = Arc::into_inner(pipeline).ok_or("a writer still has the pipeline")?;
    pipeline.finish()?;
    Ok(Sample::of([Figure::throughput(rows as f64, seconds, "rows/s")]))
}
