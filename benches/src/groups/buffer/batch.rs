use std::time::{Duration, Instant};

use standpipe_buffer::{Budget, Lanes, Policy, Reason};
use standpipe_harness::{Context, Figure, Outcome, Sample, Workload, check};

use super::Item;

const ROW_BYTES: u64 = 100;

pub(super) fn workloads() -> Vec<Workload> {
    [10, 100, 1000, 10_000]
        .map(|rows| {
            let measures = format!(
                "1 thread: single rows of 100 B are reserved for, pushed into one lane, taken as batches of {rows} \
                 and completed"
            );
            let run = move |context: &Context| run(context, rows);
            let workload = Workload::new(format!("buffer.batch.n{rows}"), measures, run);
            if matches!(rows, 100 | 10_000) { workload } else { workload.full_only() }
        })
        .into()
}

fn run(context: &Context, batch_rows: u64) -> Outcome<Sample> {
    let budget = Budget::new(2 * batch_rows * ROW_BYTES);
    let lanes: Lanes<u32, Item> =
        Lanes::new(Policy { rows_max: batch_rows, bytes_max: u64::MAX, age_max: Duration::from_secs(3600) });
    let mut number = 0;
    let (rows, took_s) = context.repeat(|| {
        let mut rows = 0;
        // About as much work between two looks at the clock, whatever the size of the batch.
        while rows < 10_000 {
            let first = number;
            for _ in 0..batch_rows {
                let permit = budget.try_acquire(ROW_BYTES).ok_or("no room for a row")?;
                let pushed = Instant::now();
                lanes.push(0, Item { number, rows: 1, pushed, permit }, pushed)?;
                number += 1;
            }
            let batch = lanes.try_take(Instant::now()).ok_or("a full lane is not due")?;
            check("why the batch was taken", batch.reason(), Reason::Rows)?;
            let in_order = batch.items().map(|item| item.number).eq(first..number);
            check("the batch is what was pushed, in order", in_order, true)?;
            rows += batch.len() as u64;
            batch.complete();
        }
        Ok(rows)
    })?;
    check("rows left behind", lanes.rows(), 0)?;
    check("bytes still in use", budget.in_use(), 0)?;
    Ok(Sample::of([Figure::throughput(rows as f64, took_s, "rows/s")]))
}
