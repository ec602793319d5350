use std::{
    thread,
    time::{Duration, Instant},
};

use standpipe_buffer::Policy;
use standpipe_harness::{Better, Context, Figure, Kind, Latency, Outcome, Sample, Scale, Workload, check};

use super::{drain::Drain, ours::Buffer};

const PRODUCERS: u32 = 4;
const DRAIN_ROWS_PER_S: f64 = 100_000.0;
/// What is offered, of what is drained.
const LOAD: f64 = 2.0;
const PUSH_ROWS: u64 = 10;
const PUSH_BYTES: u64 = PUSH_ROWS * 100;
const BATCH_ROWS: u64 = 1000;
const LIMIT_BYTES: u64 = 4 << 20;
/// What comes within such a time comes at once.
const TICK: Duration = Duration::from_millis(1);
const FULL: Duration = Duration::from_secs(60);

pub(super) fn workloads() -> Vec<Workload> {
    let measures = "4 threads offer blocks of 10 rows of 100 B, 200,000 rows/s in all, into a lane each, with 4 MiB \
                    for all; 1 thread takes batches of 1,000 rows for a target that writes 100,000 rows/s (60 s with \
                    --full): what is written of what could be, how long pushes wait at which fill, and the longest \
                    time without a push admitted, in batches";
    vec![Workload::new("buffer.overload.x2", measures, run).full_only()]
}

/// One push that was admitted.
struct Admitted {
    at: Instant,
    waited: Duration,
    /// How full the buffer was before.
    fill: f64,
}

fn run(context: &Context) -> Outcome<Sample> {
    let span = if context.scale == Scale::Full { context.span.max(FULL) } else { context.span };
    let policy = Policy { rows_max: BATCH_ROWS, ..Policy::default() };
    let buffer = Buffer::new(LIMIT_BYTES, policy);
    let began = Instant::now();
    let end = began + span;
    let (written, mut admitted) = thread::scope(|scope| -> Outcome<_> {
        let taker = scope.spawn(|| write(&buffer, end));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|lane| {
                let buffer = &buffer;
                scope.spawn(move || offer(buffer, lane, began, end))
            })
            .collect();
        let admitted: Outcome<Vec<Vec<Admitted>>> = producers
            .into_iter()
            .map(|producer| producer.join().map_err(|_| "a producer panicked")?)
            .collect();
        buffer.close();
        let written = taker.join().map_err(|_| "the taker panicked")?;
        Ok((written, admitted?.into_iter().flatten().collect::<Vec<_>>()))
    })?;
    buffer.check_empty()?;
    check("rows written", written.in_all, admitted.len() as u64 * PUSH_ROWS)?;
    admitted.sort_by_key(|one| one.at);
    Ok(sample(&written, &admitted, began, span))
}

fn offer(buffer: &Buffer, lane: u32, began: Instant, end: Instant) -> Outcome<Vec<Admitted>> {
    let pushes_per_s = DRAIN_ROWS_PER_S * LOAD / f64::from(PRODUCERS) / PUSH_ROWS as f64;
    let mut admitted = Vec::new();
    // What could not be offered in its second because a push waited is not offered later: a client who waits does not queue up.
    let (mut tick, mut owed) = (began, 0.0);
    while tick < end {
        owed += pushes_per_s * TICK.as_secs_f64();
        while owed >= 1.0 && Instant::now() < end {
            owed -= 1.0;
            let (asked, fill) = (Instant::now(), buffer.fill());
            buffer.push_blocking(lane, PUSH_ROWS, PUSH_BYTES, asked)?;
            let at = Instant::now();
            admitted.push(Admitted { at, waited: at - asked, fill });
        }
        let now = Instant::now();
        tick += TICK;
        if tick + TICK * 100 < now {
            tick = now;
        }
        thread::sleep(tick.saturating_duration_since(now));
    }
    Ok(admitted)
}

struct Written {
    /// Before the end.
    in_time: u64,
    in_all: u64,
}

fn write(buffer: &Buffer, end: Instant) -> Written {
    let (mut taking, mut drain) = (buffer.taking(), Drain::new(DRAIN_ROWS_PER_S));
    let mut written = Written { in_time: 0, in_all: 0 };
    while let Some(batch) = taking.next() {
        // What is left at the end is not waited for.
        if Instant::now() < end {
            drain.write(batch.rows());
            written.in_time += batch.rows();
        }
        written.in_all += batch.rows();
        batch.complete(|_| ());
    }
    written
}

fn sample(written: &Written, admitted: &[Admitted], began: Instant, span: Duration) -> Sample {
    let could_be = DRAIN_ROWS_PER_S * span.as_secs_f64();
    let goodput = Figure::new(
        "goodput",
        written.in_time as f64 / could_be * 100.0,
        "% of the drain rate",
        Kind::Throughput,
        Better::Higher,
    );
    let gap = admitted.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap_or(span);
    let batch_s = BATCH_ROWS as f64 / DRAIN_ROWS_PER_S;
    let mut waits = Latency::since(began);
    admitted.iter().for_each(|one| waits.record_duration(one.waited));
    Sample::of([
        goodput,
        Figure::told("longest_gap", gap.as_secs_f64() / batch_s, "batches"),
        Figure::told("delay_with_fill", correlation(admitted), "(correlation)"),
        Figure::told("waited_p50", waits.percentile_us(50.0), "µs"),
        Figure::told("waited_p99", waits.percentile_us(99.0), "µs"),
        Figure::told("waited_max", waits.percentile_us(100.0), "µs"),
    ])
    .note(fill_over_time(admitted, began, span))
    .note(delay_by_fill(admitted))
}

/// Pearson's, of how full the buffer was and how long a push then waited; 0 where either never changes.
fn correlation(admitted: &[Admitted]) -> f64 {
    let count = admitted.len().max(1) as f64;
    let mean = |of: &dyn Fn(&Admitted) -> f64| admitted.iter().map(of).sum::<f64>() / count;
    let (fill, waited) = (|one: &Admitted| one.fill, |one: &Admitted| one.waited.as_secs_f64());
    let (fill_mean, waited_mean) = (mean(&fill), mean(&waited));
    let both = mean(&|one| (fill(one) - fill_mean) * (waited(one) - waited_mean));
    let spread =
        mean(&|one| (fill(one) - fill_mean).powi(2)) * mean(&|one| (waited(one) - waited_mean).powi(2));
    if spread > 0.0 { both / spread.sqrt() } else { 0.0 }
}

fn fill_over_time(admitted: &[Admitted], began: Instant, span: Duration) -> String {
    let mut tenths = [(0.0, 0_u32); 10];
    for one in admitted {
        let tenth = ((one.at - began).as_secs_f64() / span.as_secs_f64() * 10.0) as usize;
        let (sum, count) = &mut tenths[tenth.min(9)];
        *sum += one.fill;
        *count += 1;
    }
    format!("fill by tenths of the time: {}", told(&tenths.map(|(sum, count)| (sum * 100.0, count)), "%"))
}

fn delay_by_fill(admitted: &[Admitted]) -> String {
    let mut tenths = [(0.0, 0_u32); 10];
    for one in admitted {
        let (sum, count) = &mut tenths[((one.fill * 10.0) as usize).min(9)];
        *sum += one.waited.as_secs_f64() * 1e6;
        *count += 1;
    }
    format!("mean wait by tenths of the fill: {}", told(&tenths, " µs"))
}

fn told(tenths: &[(f64, u32)], unit: &str) -> String {
    let each = tenths.iter().map(|(sum, count)| match count {
        0 => "none".to_owned(),
        count => format!("{:.0}{unit}", sum / f64::from(*count)),
    });
    each.collect::<Vec<_>>().join(", ")
}
