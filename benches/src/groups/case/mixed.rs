use std::{
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use standpipe_harness::{Context, Figure, Latency, Outcome, Pace, Sample, Workload, check};

use crate::setup::{OpenLoop, Pipeline, Plan, Row, Stage, Wide, pipeline::TABLE};

const WRITERS: u32 = 8;
const READERS: u32 = 4;
/// Rows of one write.
const WRITE_ROWS: u64 = 30;
/// Writes a second, of all writers: 6,000 rows.
const WRITE_RATE: f64 = 200.0;
/// Reads a second, of all readers.
const READ_RATE: f64 = 400.0;
/// Rows that a range holds.
const RANGE: u64 = 100;

/// Readers beside writers.
pub(super) fn workloads() -> Vec<Workload> {
    let measures = format!(
        "open loop: {READERS} readers (threads with a connection each, {READ_RATE} reads a second in all, by turns one row by its key and a sum over {RANGE}) beside {WRITERS} writers (threads, {WRITE_RATE} writes of {WRITE_ROWS} rows of 88 columns a second, batches of 20 ms); a read's time from its intended start"
    );
    vec![Workload::new("case.mixed.w8r4", measures, run)]
}

fn run(context: &Context) -> Outcome<Sample> {
    let readers = context.settings.get("run.readers", READERS)?.max(1);
    let load = OpenLoop {
        writers: context.settings.get("run.writers", WRITERS)?,
        rate: context.settings.get("run.rate", WRITE_RATE)?,
        rows: context.settings.count("run.batch", WRITE_ROWS)?,
        stage: Stage::Applied,
    };
    let sink = standpipe_sink::Settings { flush_after: Duration::from_millis(20), ..Default::default() };
    let plan = Plan { keyed: true, ..Plan::over(&context.settings, sink)? };
    let pipeline = Pipeline::open::<Wide>(context, plan)?;
    let present = context.sized(20_000, 500);
    pipeline.runtime().block_on(async {
        for _ in 0..present / 100 {
            pipeline.write::<Wide>(100).await?;
        }
        Outcome::Ok(pipeline.sink().flush().await?)
    })?;
    let (reads, writes) = thread::scope(|scope| -> Outcome<_> {
        let start = Instant::now() + Duration::from_millis(5);
        let (began, end) = (start + context.warm_up(), start + context.warm_up() + context.span);
        let interval = Duration::from_secs_f64(1.0 / READ_RATE);
        let reading: Vec<_> = (0..readers)
            .map(|reader| {
                let pace = Pace::new(start + interval * reader, READ_RATE / f64::from(readers)).until(end);
                let pipeline = &pipeline;
                scope.spawn(move || read(pipeline, pace, began, present))
            })
            .collect();
        let writes = load.run::<Wide>(context, &pipeline)?;
        let mut reads = Latency::since(began);
        for reader in reading {
            reads.merge(&reader.join().map_err(|_| "a reader panicked")??);
        }
        Ok((reads, writes))
    })?;
    pipeline.finish()?;
    let mut sample = Sample::default().with_latency(&reads);
    for figure in writes.figures.into_iter().filter(|figure| figure.name == "p50" || figure.name == "p95") {
        let name = format!("write_{}", figure.name);
        sample = sample.with(Figure { name, ..figure }.only_told());
    }
    sample.notes = writes.notes;
    Ok(sample)
}

/// One reader. Every read is of rows that were there before it started, and is checked.
fn read(pipeline: &Pipeline, pace: Pace, began: Instant, present: u64) -> Outcome<Latency> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(pipeline.database(), flags)?;
    let mut one = connection.prepare(&format!("SELECT * FROM {TABLE} WHERE id = ?1"))?;
    let mut sum = connection.prepare(&format!("SELECT sum(id) FROM {TABLE} WHERE id >= ?1 AND id < ?2"))?;
    let columns = Wide::schema()?.columns().len();
    let mut latency = Latency::since(began);
    let mut at = 1_u64;
    for intended in pace {
        // By turns odd and even, and far from the one before.
        at = (at * 31 + 7) % (present - RANGE);
        let first = i64::try_from(at)?;
        if at.is_multiple_of(2) {
            let id: i64 = one.query_row([first], |row| {
                // Each value is taken out, as a program would.
                for column in 0..columns {
                    row.get_ref(column)?;
                }
                row.get(0)
            })?;
            check("the id of the row that was read", id, first)?;
        } else {
            let last = first + i64::try_from(RANGE)?;
            let found: i64 = sum.query_row([first, last], |row| row.get(0))?;
            check("the sum of a range's ids", found, (first..last).sum())?;
        }
        if intended >= began {
            latency.record(intended, Instant::now());
        }
    }
    Ok(latency)
}
