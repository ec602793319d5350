use std::time::Instant;

use standpipe_harness::{Context, Latency, Outcome, Sample, Scale, Workload, check};
use standpipe_wal::{Durability, Log};

use super::{open_log, replay::write};

const RECORDS: u64 = 100_000;

pub(super) fn workloads() -> Vec<Workload> {
    let measures = "a log of 100k records of 256 B, in one segment, is opened and closed again (closed loop): \
                    the segment is read, a fresh one written and synced";
    vec![Workload::new("log.open", measures, run).full_only()]
}

fn run(context: &Context) -> Outcome<Sample> {
    // To see that it works, a few are enough.
    let records = if context.scale == Scale::Once { 1000 } else { RECORDS };
    let dir = context.dir("log")?;
    write(context, &dir, records)?;
    let began = Instant::now();
    let mut latency = Latency::since(began);
    loop {
        let before = Instant::now();
        let log = open_log(context, &dir, Durability::Group)?;
        latency.record(before, Instant::now());
        check("records in the log", log.end().number() - log.start().number(), records)?;
        log.close()?;
        if began.elapsed() >= context.span {
            return Ok(Sample::of([]).with_latency(&latency));
        }
    }
}
