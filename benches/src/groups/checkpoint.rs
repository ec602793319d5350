//! `Sink::checkpoint`: everything is applied and the log lets go of it. What one costs, and what many cost.

use std::time::{Duration, Instant};

use standpipe_harness::{Context, Figure, Latency, Outcome, Sample, Scale, Workload};

use crate::setup::{Flight, Pipeline, Plan, Writer, settings};

/// Rows that wait for their batch when a checkpoint comes.
const PARTIAL_ROWS: u64 = 100;
/// Rows of one write beside the checkpoints.
const WRITE_ROWS: u64 = 1_000;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    let mut all = vec![
        Workload::new("checkpoint.empty", "closed loop: a checkpoint with nothing to apply", |context| {
            single(context, 0)
        })
        .full_only(),
        Workload::new(
            "checkpoint.partial",
            format!(
                "closed loop: a checkpoint while {PARTIAL_ROWS} durable rows wait for their batch to fill"
            ),
            |context| single(context, context.settings.get("run.rows", PARTIAL_ROWS)?),
        ),
    ];
    let periods = [("10ms", 10), ("100ms", 100), ("1s", 1_000), ("10s", 10_000)];
    for (name, ms) in periods {
        let measures = format!(
            "one writer, {WRITE_ROWS} rows a write, that stops for a checkpoint once {name} went by since the last; rows applied a second"
        );
        let period = Duration::from_millis(ms);
        let workload = Workload::new(format!("checkpoint.every_{name}"), measures, move |c| every(c, period));
        all.push(if ms == 10 { workload } else { workload.full_only() });
    }
    let measures = format!(
        "one writer, {WRITE_ROWS} rows a write, and no checkpoint but the last; rows applied a second"
    );
    all.push(Workload::new("checkpoint.none", measures, |c| every(c, Duration::MAX)).full_only());
    all
}

fn single(context: &Context, rows: u64) -> Outcome<Sample> {
    let pipeline = Pipeline::open::<Flight>(context, Plan::new(&context.settings)?)?;
    let mut latency = Latency::since(Instant::now());
    let one = |latency: &mut Latency| {
        pipeline.runtime().block_on(async {
            if rows > 0 {
                pipeline.write::<Flight>(rows).await?.durable().await?;
            }
            let began = Instant::now();
            pipeline.sink().checkpoint().await?;
            latency.record(began, Instant::now());
            Outcome::Ok(())
        })
    };
    for (span, measured) in [(context.warm_up(), false), (context.span, true)] {
        let began = Instant::now();
        if measured {
            latency = Latency::since(began);
        }
        while began.elapsed() < span {
            one(&mut latency)?;
        }
    }
    pipeline.finish()?;
    Ok(Sample::default().with_latency(&latency))
}

fn every(context: &Context, period: Duration) -> Outcome<Sample> {
    let period = settings::endless(&context.settings, "run.flush_every", period)?;
    let write = context.settings.count("run.batch", WRITE_ROWS)?;
    let pipeline = Pipeline::open::<Flight>(context, Plan::new(&context.settings)?)?;
    // At full scale long enough that one falls within it.
    let span = match context.scale {
        Scale::Full if period < Duration::MAX => context.span.max(period + period / 10),
        _ => context.span,
    };
    Writer::new(&pipeline, write).warm_up::<Flight>(context.warm_up())?;
    let first = pipeline.numbered();
    let (seconds, made) = pipeline.runtime().block_on(async {
        let began = Instant::now();
        let (mut last, mut made) = (began, 0_u32);
        while began.elapsed() < span {
            pipeline.write::<Flight>(write).await?;
            if last.elapsed() >= period {
                pipeline.sink().checkpoint().await?;
                (last, made) = (Instant::now(), made + 1);
            }
        }
        pipeline.sink().flush().await?;
        Outcome::Ok((began.elapsed().as_secs_f64(), made))
    })?;
    let rows = pipeline.numbered() - first;
    pipeline.finish()?;
    let sample = Sample::of([Figure::throughput(rows as f64, seconds, "rows/s")]);
    Ok(match (period == Duration::MAX, made) {
        (true, _) => sample,
        (false, 0) => sample.note(format!("no checkpoint fell within {:.1} s", span.as_secs_f64())),
        (false, made) => sample.with(Figure::told("checkpoints", f64::from(made), "times")),
    })
}
