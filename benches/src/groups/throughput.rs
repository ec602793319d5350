//! Rows a second through the whole: sink, log, SQLite file.

use std::sync::Arc;

use standpipe_core::Mode;
use standpipe_harness::{Context, Figure, Outcome, Sample, Scale, Workload, check};
use tokio::task::JoinSet;

use crate::setup::{Flight, Pipeline, Plan, Row, Writer, settings};

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    let mut all: Vec<Workload> = [("100", 100), ("1k", 1_000), ("10k", 10_000)]
        .map(|(name, batch)| {
            let measures = format!(
                "one writer, {batch} rows a write, until the span is over; rows applied to SQLite a second, the last one included"
            );
            Workload::new(format!("throughput.batch_{name}"), measures, move |context| batches(context, batch))
        })
        .into();
    all.push(Workload::new(
        "throughput.sustained",
        "rounds of 100 batches of 1,000 rows (10 when quick), each round until all of it is applied",
        sustained,
    ));
    let modes = [
        (Mode::Append, "new rows only, into a table with a primary key"),
        (Mode::Upsert, "half of the rows set the columns of a row that is there"),
        (Mode::Replace, "half of the rows replace a row that is there"),
        (Mode::Ignore, "half of the rows leave a row as it is that is there"),
    ];
    for (mode, what) in modes {
        let measures = format!("mode {}: one writer, 1,000 rows a write; {what}", mode.name());
        let workload =
            Workload::new(format!("throughput.mode_{}", mode.name()), measures, move |c| keyed(c, mode));
        // Upsert, replace and ignore take one way through the target.
        all.push(if matches!(mode, Mode::Append | Mode::Upsert) { workload } else { workload.full_only() });
    }
    all.push(Workload::new(
        "throughput.single_rows",
        "10 writers (tasks) of 1,000 single rows each (100 when quick), each row durable before the next; rounds until all is applied",
        single_rows,
    ));
    all
}

fn batches(context: &Context, batch: u64) -> Outcome<Sample> {
    let batch = context.settings.count("run.batch", batch)?;
    let pipeline = Pipeline::open::<Flight>(context, Plan::new(&context.settings)?)?;
    let writer = Writer::new(&pipeline, batch);
    writer.warm_up::<Flight>(context.warm_up())?;
    let (rows, seconds) = writer.run_for::<Flight>(context.span)?;
    pipeline.finish()?;
    Ok(Sample::of([Figure::throughput(rows as f64, seconds, "rows/s")]))
}

fn sustained(context: &Context) -> Outcome<Sample> {
    let batch = context.settings.count("run.batch", 1_000)?;
    let rows = context.settings.get("run.rows", context.sized(100, 10) * 1_000)?;
    let pipeline = Pipeline::open::<Flight>(context, Plan::new(&context.settings)?)?;
    let writer = Writer::new(&pipeline, batch);
    let (rows, seconds) = context.repeat(|| writer.round::<Flight>(rows.div_ceil(batch)))?;
    pipeline.finish()?;
    Ok(Sample::of([Figure::throughput(rows as f64, seconds, "rows/s")]))
}

/// A step through the rows that are there: prime, so that a batch never meets one twice.
const STRIDE: u64 = 7_919;

/// Rows by number: half of them new, half with the id of one of the first `present`, unless all are new.
struct Keyed {
    present: u64,
    all_new: bool,
}

impl Keyed {
    fn row(&self, number: u64) -> Flight {
        match () {
            () if self.all_new => Flight::of(self.present + number),
            () if number.is_multiple_of(2) => Flight::of(self.present + number / 2),
            () => Flight::version(number / 2 * STRIDE % self.present, number),
        }
    }
}

fn keyed(context: &Context, mode: Mode) -> Outcome<Sample> {
    let batch = context.settings.count("run.batch", 1_000_u64)?;
    let mode = settings::mode(&context.settings, mode)?;
    let present = context.sized(20_000, 2_000);
    let keyed = Keyed { present, all_new: mode == Mode::Append };
    let pipeline =
        Pipeline::open::<Flight>(context, Plan { mode, keyed: true, ..Plan::new(&context.settings)? })?;
    Writer::new(&pipeline, 1_000).round::<Flight>(present.div_ceil(1_000))?;
    let present_rows = pipeline.numbered();
    let mut next = 0;
    let (rows, seconds) = context.repeat(|| {
        pipeline.runtime().block_on(async {
            for _ in 0..10 {
                let rows: Vec<Flight> = (next..next + batch).map(|number| keyed.row(number)).collect();
                next += batch;
                pipeline.sink().write(pipeline.stream(), pipeline.stream().rows(&rows)?).await?;
            }
            pipeline.sink().flush().await?;
            Ok(10 * batch)
        })
    })?;
    // What the table must hold, told by doing it again without a database.
    let mut expected: Vec<i64> = (0..present_rows).map(|number| number as i64).collect();
    for row in (0..next).map(|number| keyed.row(number)) {
        let place = usize::try_from(row.id)?;
        match expected.get_mut(place) {
            Some(version) if mode != Mode::Ignore => *version = row.flight,
            Some(_) => {}
            None => expected.push(row.flight),
        }
    }
    let table = pipeline.close()?;
    check("rows in the table", table.rows()?, expected.len() as u64)?;
    check("the sum of their versions", table.sum("flight")?, u64::try_from(expected.iter().sum::<i64>())?)?;
    Ok(Sample::of([Figure::throughput(rows as f64, seconds, "rows/s")]))
}

fn single_rows(context: &Context) -> Outcome<Sample> {
    let writers = context.settings.get("run.writers", 10_u64)?;
    let each = match context.scale {
        Scale::Once => 20,
        Scale::Quick => 100,
        Scale::Full => 1_000,
    };
    let rows = context.settings.get("run.rows", each * writers)?;
    let pipeline = Arc::new(Pipeline::open::<Flight>(context, Plan::new(&context.settings)?)?);
    let round = || {
        pipeline.runtime().block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..writers {
                let pipeline = pipeline.clone();
                tasks.spawn(async move {
                    for _ in 0..rows / writers {
                        pipeline.write::<Flight>(1).await?.durable().await?;
                    }
                    Outcome::Ok(())
                });
            }
            while let Some(done) = tasks.join_next().await {
                done??;
            }
            pipeline.sink().flush().await?;
            Ok(rows / writers * writers)
        })
    };
    let (rows, seconds) = context.repeat(round)?;
    let pipeline = Arc::into_inner(pipeline).ok_or("a writer still has the pipeline")?;
    pipeline.finish()?;
    Ok(Sample::of([Figure::throughput(rows as f64, seconds, "rows/s")]))
}
