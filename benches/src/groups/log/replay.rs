use std::{
    path::Path,
    time::{Duration, Instant},
};

use standpipe_harness::{Context, Figure, Outcome, Sample, Scale, Workload, check};
use standpipe_wal::{Durability, Log, Lsn, Reader, Record, Ticket};

use super::open_log;

const RECORD_BYTES: usize = 256;
const BATCH: u64 = 1000;

pub(super) fn workloads() -> Vec<Workload> {
    [("10k", 10_000), ("100k", 100_000), ("1m", 1_000_000)]
        .map(|(name, records)| {
            let measures = format!(
                "1 thread reads a log of {name} records of 256 B from its first record to its end, out of the \
                 system's cache"
            );
            let run = move |context: &Context| run(context, records);
            let workload = Workload::new(format!("log.replay.{name}"), measures, run);
            if records == 100_000 { workload } else { workload.full_only() }
        })
        .into()
}

fn run(context: &Context, records: u64) -> Outcome<Sample> {
    // To see that it works, a few are enough.
    let records = if context.scale == Scale::Once { records.min(BATCH) } else { records };
    let dir = context.dir("log")?;
    write(context, &dir, records)?;

    let began = Instant::now();
    let log = open_log(context, &dir, Durability::Os)?;
    let open_ms = began.elapsed().as_secs_f64() * 1e3;
    let (read, took_s) = context.repeat(|| {
        let mut reader = log.follow(Lsn::FIRST)?;
        let (mut count, mut sum, mut bytes) = (0, 0_u64, 0);
        while let Some(entry) = reader.next(Duration::ZERO)? {
            count += 1;
            sum = sum.wrapping_add(entry.payload.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)));
            bytes += entry.payload.len();
        }
        check("records read", count, records)?;
        check("the sum of their numbers", sum, records * (records - 1) / 2)?;
        check("bytes read", bytes as u64, records * RECORD_BYTES as u64)?;
        Ok(count)
    })?;
    log.close()?;
    Ok(Sample::of([
        Figure::throughput(read as f64, took_s, "records/s"),
        Figure::told("open", open_ms, "ms"),
    ]))
}

/// Writes a log of so many records, each beginning with its number, and closes it.
pub(super) fn write(context: &Context, dir: &Path, records: u64) -> Outcome<()> {
    let log = open_log(context, dir, Durability::Os)?;
    let mut payloads = vec![[7; RECORD_BYTES]; BATCH as usize];
    for first in (0..records).step_by(BATCH as usize) {
        for (payload, number) in payloads.iter_mut().zip(first..records) {
            payload[..8].copy_from_slice(&number.to_be_bytes());
        }
        let size = (records - first).min(BATCH) as usize;
        let parts: Vec<[&[u8]; 1]> = payloads.iter().map(|payload| [&payload[..]]).collect();
        let batch: Vec<Record<'_>> = parts.iter().map(|parts| Record::new(parts)).take(size).collect();
        log.append_batch(&batch)?.wait()?;
    }
    Ok(log.close()?)
}
