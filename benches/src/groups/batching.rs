//! What the size of a batch costs, and what each trigger that cuts one.

use std::time::Duration;

use standpipe_harness::{Context, Figure, Outcome, Sample, Workload};

use crate::setup::{Flight, OpenLoop, Pipeline, Plan, Stage, Writer};

/// Rows of one write, or of a batch where that is smaller: a larger write would be a batch of its own.
const WRITE_ROWS: u64 = 100;
/// Batches that the writer is ahead of the table, so that the next one is always full.
const BATCHES_AHEAD: u64 = 4;
/// Further away than any workload lasts.
const NEVER: Duration = Duration::from_secs(10);
/// The age at which a batch is cut where that is measured.
const AGE: Duration = Duration::from_millis(5);
/// Writes a second where a trigger is measured.
const RATE: f64 = 200.0;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    let sizes = [("n10", 10), ("n100", 100), ("n1k", 1_000), ("n10k", 10_000)];
    let mut all: Vec<Workload> = sizes
        .map(|(name, rows)| {
            let measures = format!(
                "batches of {rows} rows, one commit each, {BATCHES_AHEAD} ahead of the table; rows applied to SQLite a second"
            );
            let workload = Workload::new(format!("batching.{name}"), measures, move |c| sized(c, rows));
            if matches!(rows, 100 | 1_000) { workload } else { workload.full_only() }
        })
        .into();
    let triggers = [
        (Trigger::Rows, "rows", "the row limit cuts each write"),
        (Trigger::Bytes, "bytes", "the byte limit cuts each write"),
        (Trigger::Age, "age", "a batch is cut when its oldest row is 5 ms old"),
    ];
    for (trigger, name, what) in triggers {
        let measures = format!(
            "open loop: one writer (a thread), {RATE} writes of {WRITE_ROWS} rows a second; {what}; from the intended start to applied"
        );
        let workload = Workload::new(format!("batching.trigger.{name}"), measures, move |c| cut(c, trigger));
        all.push(if trigger == Trigger::Age { workload } else { workload.full_only() });
    }
    all
}

fn sized(context: &Context, rows: u64) -> Outcome<Sample> {
    let sink = standpipe_sink::Settings { batch_rows_max: rows, flush_after: NEVER, ..Default::default() };
    let plan = Plan::over(&context.settings, sink)?;
    let rows = plan.sink.batch_rows_max;
    let write = context.settings.count("run.batch", WRITE_ROWS.min(rows))?;
    let pipeline = Pipeline::open::<Flight>(context, plan)?;
    let writer = Writer::new(&pipeline, write).window(rows * BATCHES_AHEAD);
    writer.warm_up::<Flight>(context.warm_up())?;
    let (rows, seconds) = writer.run_for::<Flight>(context.span)?;
    pipeline.finish()?;
    Ok(Sample::of([Figure::throughput(rows as f64, seconds, "rows/s")]))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trigger {
    Rows,
    Bytes,
    Age,
}

/// The two triggers that are not meant are out of reach, so that only the third can have cut what arrived.
fn cut(context: &Context, trigger: Trigger) -> Outcome<Sample> {
    let far = standpipe_sink::Settings { batch_rows_max: u64::MAX, flush_after: NEVER, ..Default::default() };
    let sink = match trigger {
        Trigger::Rows => standpipe_sink::Settings { batch_rows_max: WRITE_ROWS, ..far },
        // A write of this many rows is beyond it.
        Trigger::Bytes => standpipe_sink::Settings { batch_bytes_max: WRITE_ROWS * 32, ..far },
        Trigger::Age => standpipe_sink::Settings { flush_after: AGE, ..far },
    };
    let pipeline = Pipeline::open::<Flight>(context, Plan::over(&context.settings, sink)?)?;
    let load = OpenLoop {
        writers: context.settings.get("run.writers", 1)?,
        rate: context.settings.get("run.rate", RATE)?,
        rows: context.settings.count("run.batch", WRITE_ROWS)?,
        stage: Stage::Applied,
    };
    let sample = load.run::<Flight>(context, &pipeline)?;
    pipeline.finish()?;
    Ok(sample)
}
