use std::{sync::Arc, time::Instant};

use standpipe_harness::{Context, Figure, Outcome, Sample, Workload};
use tokio::task::JoinSet;

use crate::setup::{Pipeline, Plan, Wide, rows, settings};

/// Rows of one write.
const WRITE_ROWS: u64 = 30;
const TENANTS: u64 = 64;
const LANES: u32 = 8;

/// Writers of many tenants into one table.
pub(super) fn workloads() -> Vec<Workload> {
    let workload = |writers: u64| {
        let measures = format!(
            "{writers} writers (tasks), {WRITE_ROWS} rows of 88 columns a write, of {TENANTS} tenants keyed into {LANES} lanes of one table, each durable before the next; rows applied to SQLite a second"
        );
        let workload = Workload::new(format!("case.tenants.w{writers}"), measures, move |c| run(c, writers));
        if writers == 16 { workload } else { workload.full_only() }
    };
    [8, 16, 32].map(workload).into()
}

fn run(context: &Context, writers: u64) -> Outcome<Sample> {
    let writers = context.settings.get("run.writers", writers)?;
    let batch = context.settings.count("run.batch", WRITE_ROWS)?;
    let tenants = context.settings.get("run.tenants", TENANTS)?.max(1);
    let lanes = settings::lanes(&context.settings, LANES)?;
    let pipeline =
        Arc::new(Pipeline::open::<Wide>(context, Plan { lanes, ..Plan::new(&context.settings)? })?);
    let run_for = |span| {
        pipeline.runtime().block_on(async {
            let (began, first) = (Instant::now(), pipeline.numbered());
            let mut tasks = JoinSet::new();
            for writer in 0..writers {
                let pipeline = pipeline.clone();
                tasks.spawn(async move {
                    let mut tenant = writer;
                    while began.elapsed() < span {
                        tenant = (tenant + writers) % tenants;
                        write(&pipeline, batch, tenant).await?;
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

async fn write(pipeline: &Pipeline, batch: u64, tenant: u64) -> Outcome<()> {
    let rows = rows::rows::<Wide>(pipeline.numbers(batch), batch);
    let stream = pipeline.stream();
    let rows = stream.rows(&rows)?.keyed(stream, &tenant.to_be_bytes());
    Ok(pipeline.sink().write(stream, rows).await?.durable().await?)
}
