use std::time::Instant;

use standpipe_harness::{Context, Figure, Latency, Outcome, Sample, Workload};
use standpipe_wal::{Durability, Log, Record, Ticket};

use super::{
    append::timed_appends,
    open_log,
    payload::{check_all, mark},
};

const RECORD_BYTES: usize = 256;

pub(super) fn workloads() -> Vec<Workload> {
    [1_usize, 10, 100]
        .map(|records| {
            let measures = format!(
                "1 thread appends batches of {records} records of 256 B, all or none, and blocks on each ticket \
                 (closed loop, latency of a batch); durability group"
            );
            let name = format!("log.batch.n{records}");
            let workload = Workload::new(name, measures, move |context: &Context| run(context, records));
            if records == 100 { workload } else { workload.full_only() }
        })
        .into()
}

fn run(context: &Context, batch_records: usize) -> Outcome<Sample> {
    let dir = context.dir("log")?;
    let log = open_log(context, &dir, Durability::Group)?;
    let mut payloads = vec![[7; RECORD_BYTES]; batch_records];
    let (mut acknowledged, mut latency) = (0, Latency::since(Instant::now()));
    let (records, took_s) = timed_appends(context, &mut latency, || {
        for (payload, number) in payloads.iter_mut().zip(acknowledged..) {
            mark(payload, 0, number);
        }
        let parts: Vec<[&[u8]; 1]> = payloads.iter().map(|payload| [&payload[..]]).collect();
        let batch: Vec<Record<'_>> = parts.iter().map(|parts| Record::new(parts)).collect();
        log.append_batch(&batch)?.wait()?;
        acknowledged += batch_records as u64;
        Ok(batch_records as u64)
    })?;
    check_all(context, &dir, log, RECORD_BYTES, &[acknowledged])?;
    Ok(Sample::of([Figure::throughput(records as f64, took_s, "records/s")]).with_latency(&latency))
}
