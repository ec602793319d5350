//! From a write's intended start to durable, and to applied: an open loop at a stated rate.

use std::time::Duration;

use standpipe_harness::{Context, Outcome, Sample, Workload};

use crate::setup::{Flight, OpenLoop, Pipeline, Plan, Stage};

/// Rows a second, of all writers.
const RATE: f64 = 2_000.0;
/// How long a row waits for its batch where it is waited for until it is applied.
const FLUSH_AFTER: Duration = Duration::from_millis(20);

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    let mut all = Vec::new();
    for (stage, name) in [(Stage::Durable, "durable"), (Stage::Applied, "applied")] {
        for writers in [1, 5, 10, 20] {
            let batch = match stage {
                Stage::Durable => String::new(),
                Stage::Applied => format!(", batches of {} ms", FLUSH_AFTER.as_millis()),
            };
            let measures = format!(
                "open loop: {writers} writers (threads), single rows, {RATE} a second in all{batch}; from the intended start to {name}"
            );
            let run = move |context: &Context| single_rows(context, stage, writers);
            let workload = Workload::new(format!("latency.{name}.w{writers}"), measures, run);
            all.push(if matches!(writers, 1 | 10) { workload } else { workload.full_only() });
        }
    }
    all
}

fn single_rows(context: &Context, stage: Stage, writers: u32) -> Outcome<Sample> {
    let sink = match stage {
        Stage::Durable => standpipe_sink::Settings::default(),
        Stage::Applied => standpipe_sink::Settings { flush_after: FLUSH_AFTER, ..Default::default() },
    };
    let pipeline = Pipeline::open::<Flight>(context, Plan::over(&context.settings, sink)?)?;
    let load = OpenLoop {
        writers: context.settings.get("run.writers", writers)?,
        rate: context.settings.get("run.rate", RATE)?,
        rows: context.settings.count("run.batch", 1)?,
        stage,
    };
    let sample = load.run::<Flight>(context, &pipeline)?;
    pipeline.finish()?;
    Ok(sample)
}
