use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use standpipe_harness::{Context, Figure, Latency, Outcome, Sample, Workload};
use standpipe_wal::{Durability, Log, Record, Ticket, Wal};
use tokio::runtime::Builder;

use super::{
    DURABILITIES, open_log,
    payload::{check_all, mark},
};

const SIZES: [(&str, usize); 3] = [("64b", 64), ("1k", 1 << 10), ("64k", 64 << 10)];
const WRITERS: [u32; 3] = [1, 8, 64];
/// A run ends early rather than write more than this.
const WRITTEN_BYTES_MAX: u64 = 512 << 20;

pub(super) fn workloads() -> Vec<Workload> {
    let mut workloads = Vec::new();
    for (durability_name, durability) in DURABILITIES {
        for (size_name, bytes) in SIZES {
            for writers in WRITERS {
                let measures = format!(
                    "{writers} async writers on 2 threads append {size_name} records, each waits for its ticket \
                     (closed loop); durability {durability_name}"
                );
                let name = format!("log.{durability_name}.{size_name}.w{writers}");
                let run = move |context: &Context| asynchronous(context, durability, bytes, writers);
                let workload = Workload::new(name, measures, run);
                // A few tasks that hand each record to the log's thread settle into one of two rhythms, which no pair
                // of short samples sees through.
                let quick = matches!((durability_name, size_name, writers), ("os", "1k", 64));
                workloads.push(if quick { workload } else { workload.full_only() });
            }
        }
    }
    // What a group commit brings is told at 256 B: of larger records the disk takes only so many bytes a second.
    for writers in WRITERS {
        let measures = format!(
            "{writers} async writers on 2 threads append 256 B records, each waits for its ticket (closed loop); \
             durability group"
        );
        let run = move |context: &Context| asynchronous(context, Durability::Group, 256, writers);
        workloads.push(Workload::new(format!("log.group.256b.w{writers}"), measures, run));
    }
    let blocking = |name: &str, durability: Durability, bytes: usize, window: u64| {
        let waits = if window == 1 { "each ticket".to_owned() } else { format!("every {window}th ticket") };
        let name = format!("log.blocking.{name}");
        let what = name.split('.').nth(2).unwrap_or_default().to_owned();
        let measures = format!(
            "1 thread appends {bytes} B records and blocks on {waits} (closed loop); durability {what}"
        );
        Workload::new(name, measures, move |context| blocking(context, durability, bytes, window))
    };
    workloads.push(blocking("group.256b.w1", Durability::Group, 256, 1).full_only());
    // These two are bound by the path of an append, and by nothing else.
    workloads.push(blocking("os.1k.w1", Durability::Os, 1 << 10, 1));
    workloads.push(blocking("os.1k.window256", Durability::Os, 1 << 10, 256));
    workloads
}

/// What one writer did.
struct Written {
    records: u64,
    latency: Latency,
}

fn asynchronous(context: &Context, durability: Durability, bytes: usize, writers: u32) -> Outcome<Sample> {
    let dir = context.dir("log")?;
    let log = Arc::new(open_log(context, &dir, durability)?);
    let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
    let records_max = WRITTEN_BYTES_MAX / bytes as u64 / u64::from(writers);
    let mut acknowledged = vec![0; writers as usize];

    // Those that warm up and those that are measured are the same tasks but for the time that they are given.
    let mut phase = |span: Duration| -> Outcome<(u64, f64, Latency)> {
        let began = Instant::now();
        let stop = Arc::new(AtomicBool::new(false));
        let first = acknowledged.clone();
        let tasks: Vec<_> = (0..writers)
            .zip(first)
            .map(|(writer, first)| {
                let writer = Writer { log: log.clone(), stop: stop.clone(), writer, record: vec![7; bytes] };
                runtime.spawn(writer.run(first, records_max, began, span))
            })
            .collect();
        let (mut records, mut latency) = (0, Latency::since(began));
        for (task, acknowledged) in tasks.into_iter().zip(&mut acknowledged) {
            let written = runtime.block_on(task)??;
            records += written.records;
            *acknowledged += written.records;
            latency.merge(&written.latency);
        }
        Ok((records, began.elapsed().as_secs_f64(), latency))
    };
    phase(context.warm_up())?;
    let (records, took_s, latency) = phase(context.span)?;

    // The runtime's threads are gone before the log is taken back from the tasks.
    drop(runtime);
    let log = Arc::into_inner(log).ok_or("a task still has the log")?;
    check_all(context, &dir, log, bytes, &acknowledged)?;
    Ok(Sample::of([Figure::throughput(records as f64, took_s, "records/s")]).with_latency(&latency))
}

struct Writer {
    log: Arc<Wal>,
    stop: Arc<AtomicBool>,
    writer: u32,
    record: Vec<u8>,
}

impl Writer {
    /// Appends from record `first` on, until the time is over or there are `records_max` of them.
    async fn run(mut self, first: u64, records_max: u64, began: Instant, span: Duration) -> Outcome<Written> {
        let (mut number, mut latency) = (first, Latency::since(began));
        let mut before = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            mark(&mut self.record, self.writer, number);
            self.log.append(Record::new(&[&self.record]))?.await?;
            number += 1;
            let now = Instant::now();
            latency.record_duration(now - before);
            before = now;
            if now - began >= span || number >= records_max {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        Ok(Written { records: number - first, latency })
    }
}

/// Waits for the last of each `window` records, and with it for all.
fn blocking(context: &Context, durability: Durability, bytes: usize, window: u64) -> Outcome<Sample> {
    let dir = context.dir("log")?;
    let log = open_log(context, &dir, durability)?;
    let mut record = vec![7; bytes];
    let (mut acknowledged, mut latency) = (0, Latency::since(Instant::now()));
    let records_max = WRITTEN_BYTES_MAX / bytes as u64;
    let (records, took_s) = timed_appends(context, &mut latency, || {
        if acknowledged + window > records_max {
            return Ok(0);
        }
        let mut last = None;
        for _ in 0..window {
            mark(&mut record, 0, acknowledged);
            last = Some(log.append(Record::new(&[&record]))?);
            acknowledged += 1;
        }
        last.map(Ticket::wait).transpose()?;
        Ok(window)
    })?;
    check_all(context, &dir, log, bytes, &[acknowledged])?;
    Ok(Sample::of([Figure::throughput(records as f64, took_s, "records/s")]).with_latency(&latency))
}

/// Repeats an append until the span is over; the latencies of the warm-up are forgotten.
pub(super) fn timed_appends(
    context: &Context,
    latency: &mut Latency,
    mut append: impl FnMut() -> Outcome<u64>,
) -> Outcome<(u64, f64)> {
    let warm = Instant::now();
    while warm.elapsed() < context.warm_up() && append()? > 0 {}
    let began = Instant::now();
    *latency = Latency::since(began);
    let (mut records, mut before) = (0, began);
    loop {
        let appended = append()?;
        records += appended;
        let now = Instant::now();
        latency.record(before, now);
        before = now;
        if now - began >= context.span || appended == 0 {
            return Ok((records, (now - began).as_secs_f64()));
        }
    }
}
