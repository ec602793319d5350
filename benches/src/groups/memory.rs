//! Allocations and bytes for each row, and the memory of the whole over its budget.

use standpipe_harness::{
    Allocations, Context, Figure, Outcome, Sample, Workload, check, peak_resident_bytes, resident_bytes,
};
use standpipe_row::BlockBuilder;

use crate::setup::{Flight, Pipeline, Plan, Row, Writer, rows};

/// Rows of one write.
const WRITE_ROWS: u64 = 1_000;
const MIB: f64 = (1 << 20) as f64;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::new(
            "memory.encode",
            format!(
                "what the allocator gives for encoding {WRITE_ROWS} structs into blocks; nothing else runs"
            ),
            encode,
        ),
        Workload::new(
            "memory.sink",
            format!(
                "what the allocator gives for each row on its way through sink, log and SQLite, in steady state, {WRITE_ROWS} rows a write"
            ),
            through,
        ),
        Workload::new(
            "memory.reuse",
            format!(
                "what the allocator gives for the first block of {WRITE_ROWS} rows of a builder, and for each later one"
            ),
            reuse,
        ),
        Workload::new(
            "memory.peak_over_budget",
            "the most memory of the process above what it had before the sink was opened, while a writer gives all that the sink takes",
            peak,
        ),
    ]
}

/// Figures of so many allocations for so many rows.
fn given(allocations: Allocations, rows: u64) -> Outcome<[Figure; 2]> {
    if allocations.count == 0 {
        return Err("no allocation was counted: the program has another allocator".into());
    }
    Ok([
        Figure::memory("allocations", allocations.count as f64 * 1e3 / rows as f64, "per 1k rows"),
        Figure::memory("bytes", allocations.bytes as f64 / rows as f64, "B/row"),
    ])
}

fn encode(context: &Context) -> Outcome<Sample> {
    let batch = context.settings.count("run.batch", WRITE_ROWS)?;
    let pipeline = Pipeline::open::<Flight>(context, Plan::new(&context.settings)?)?;
    let rows = rows::rows::<Flight>(0, batch);
    pipeline.stream().rows(&rows)?;
    let before = Allocations::so_far();
    let mut encoded = 0;
    // A count, not a time: a few rounds say all.
    for _ in 0..10 {
        encoded += pipeline.stream().rows(&rows)?.len();
    }
    let figures = given(before.since(), encoded)?;
    check("rows encoded", encoded, batch * 10)?;
    pipeline.finish()?;
    Ok(Sample::of(figures))
}

fn through(context: &Context) -> Outcome<Sample> {
    let batch = context.settings.count("run.batch", WRITE_ROWS)?;
    let pipeline = Pipeline::open::<Flight>(context, Plan::new(&context.settings)?)?;
    // The rows themselves are the caller's: their memory is reused.
    let mut rows = Vec::with_capacity(usize::try_from(batch)?);
    let mut before = Allocations::so_far();
    let mut first = 0;
    let rounds = context.sized(50, 5);
    for round in 0..=rounds {
        if round == 1 {
            (before, first) = (Allocations::so_far(), pipeline.numbered());
        }
        pipeline.runtime().block_on(async {
            for _ in 0..10 {
                let number = pipeline.numbers(batch);
                rows.clear();
                rows.extend((number..number + batch).map(Flight::of));
                pipeline.sink().write(pipeline.stream(), pipeline.stream().rows(&rows)?).await?;
            }
            Outcome::Ok(pipeline.sink().flush().await?)
        })?;
    }
    let figures = given(before.since(), pipeline.numbered() - first)?;
    pipeline.finish()?;
    Ok(Sample::of(figures))
}

fn reuse(context: &Context) -> Outcome<Sample> {
    let batch = context.settings.count("run.batch", WRITE_ROWS)?;
    let rows = rows::rows::<Flight>(0, batch);
    let mut builder = BlockBuilder::new(std::sync::Arc::new(Flight::schema()?));
    let mut one = || -> Outcome<Allocations> {
        let before = Allocations::so_far();
        for row in &rows {
            builder.serialize(row).map_err(|fault| fault.to_string())?;
        }
        let block = builder.finish();
        let given = before.since();
        check("rows in the block", u64::from(block.rows), batch)?;
        Ok(given)
    };
    let first = one()?;
    let mut later = Allocations { count: 0, bytes: 0 };
    for _ in 0..10 {
        let given = one()?;
        later = Allocations { count: later.count + given.count, bytes: later.bytes + given.bytes };
    }
    let [first_count, first_bytes] = given(first, batch)?;
    let [later_count, later_bytes] = given(later, batch * 10)?;
    let named = |figure: Figure, name: &str| Figure { name: name.to_owned(), ..figure };
    Ok(Sample::of([
        named(first_count, "first_allocations"),
        named(first_bytes, "first_bytes"),
        named(later_count, "later_allocations"),
        named(later_bytes, "later_bytes"),
    ]))
}

fn peak(context: &Context) -> Outcome<Sample> {
    let unknown = "this system does not tell a process's memory";
    let before = resident_bytes().ok_or(unknown)?;
    let plan = Plan::new(&context.settings)?;
    let budget = plan.sink.memory_bytes;
    let pipeline = Pipeline::open::<Flight>(context, plan)?;
    let batch = context.settings.count("run.batch", WRITE_ROWS)?;
    Writer::new(&pipeline, batch).run_for::<Flight>(context.span)?;
    let rows_peak = pipeline.sink().memory_peak_bytes();
    let peak = peak_resident_bytes().ok_or(unknown)?.saturating_sub(before);
    pipeline.finish()?;
    if rows_peak > budget {
        return Err(
            format!("wrong result: {rows_peak} bytes of rows in memory, the budget is {budget}").into()
        );
    }
    Ok(Sample::of([
        Figure::memory("peak_added", peak as f64 / MIB, "MiB"),
        Figure::told("over_budget", (peak as f64 - budget as f64) / MIB, "MiB"),
        Figure::told("rows_peak", rows_peak as f64 / MIB, "MiB"),
    ]))
}
