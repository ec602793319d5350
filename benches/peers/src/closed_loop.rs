use std::{
    future::Future,
    thread,
    time::{Duration, Instant},
};

use standpipe_harness::{Context, Figure, Latency, Outcome, Sample};
use tokio::runtime::Runtime;

/// When to count: after the warm-up, for the span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    began: Instant,
    ends: Instant,
}

/// What was done within the measured time.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    measured: Measured,
    work: u64,
    latency: Latency,
}

impl Measured {
    /// Warms up from now on, then measures.
    pub(crate) fn from_now(context: &Context) -> Self {
        let began = Instant::now() + context.warm_up();
        Measured { began, ends: began + context.span }
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.ends
    }
}

impl Tally {
    pub(crate) fn new(measured: Measured) -> Self {
        Tally { measured, work: 0, latency: Latency::since(measured.began) }
    }

    /// Counts `work` if it ended within the measured time. Work that begins before it and work that ends after it
    /// balance.
    pub(crate) fn count(&mut self, work: u64, ended: Instant) {
        if ended >= self.measured.began && ended < self.measured.ends {
            self.work += work;
        }
    }

    /// Counts how long one operation took.
    pub(crate) fn time(&mut self, started: Instant, ended: Instant) {
        if ended >= self.measured.began && ended < self.measured.ends {
            self.latency.record(started, ended);
        }
    }

    /// Work so far.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    /// How long all but so few took, in microseconds.
    pub(crate) fn latency_us(&self, percentile: f64) -> f64 {
        self.latency.percentile_us(percentile)
    }

    pub(crate) fn merge(&mut self, other: &Tally) {
        self.work += other.work;
        self.latency.merge(&other.latency);
    }

    /// Work a second, and how long the operations took where that was looked at.
    pub(crate) fn sample(&self, unit: &str) -> Sample {
        let seconds = (self.measured.ends - self.measured.began).as_secs_f64();
        let sample = Sample::of([Figure::throughput(self.work as f64, seconds, unit)]);
        let sample = match self.work {
            0 => sample.note("no operation ended within the span: it is too short for this machine now"),
            _ => sample,
        };
        if self.latency.count() == 0 { sample } else { sample.with_latency(&self.latency) }
    }
}

/// How often the clock is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// At each operation, and its duration is kept: for operations of a microsecond and more.
    Each,
    /// At every so many operations: for operations that are not much longer than a look at the clock.
    Every(u32),
}

/// Each writer on a thread of its own, one operation after the other. An operation returns how much work it was.
pub(crate) fn on_threads<W>(context: &Context, clock: Clock, writers: Vec<W>) -> Outcome<Tally>
where
    W: FnMut() -> Outcome<u64> + Send,
{
    let measured = Measured::from_now(context);
    thread::scope(|scope| {
        let threads: Vec<_> =
            writers.into_iter().map(|writer| scope.spawn(move || one(measured, clock, writer))).collect();
        let mut all = Tally::new(measured);
        for thread in threads {
            all.merge(&thread.join().map_err(|_| "a writer panicked")??);
        }
        Ok(all)
    })
}

fn one(measured: Measured, clock: Clock, mut writer: impl FnMut() -> Outcome<u64>) -> Outcome<Tally> {
    let mut tally = Tally::new(measured);
    let mut started = Instant::now();
    while !measured.is_over(started) {
        match clock {
            Clock::Each => {
                let work = writer()?;
                let ended = Instant::now();
                tally.time(started, ended);
                tally.count(work, ended);
                started = ended;
            }
            Clock::Every(operations) => {
                let mut work = 0;
                for _ in 0..operations {
                    work += writer()?;
                }
                started = Instant::now();
                tally.count(work, started);
            }
        }
    }
    Ok(tally)
}

/// Runs tasks in the runtime and adds up what they counted.
pub(crate) fn in_tasks<T>(runtime: &Runtime, measured: Measured, tasks: Vec<T>) -> Outcome<Tally>
where
    T: Future<Output = Outcome<Tally>> + Send + 'static,
{
    runtime.block_on(async {
        let handles: Vec<_> = tasks.into_iter().map(|task| runtime.spawn(task)).collect();
        let mut all = Tally::new(measured);
        for handle in handles {
            all.merge(&handle.await??);
        }
        Ok(all)
    })
}

/// Tokio's runtime of several threads as `#[tokio::main]` makes it: one worker for each core.
pub(crate) fn runtime() -> Outcome<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_time().build()?)
}

/// The same with the network.
pub(crate) fn runtime_with_io() -> Outcome<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Repeats `unit` until the span is over, after a warm-up; `unit` says how much work it did and how long that took,
/// preparing and checking left out.
pub(crate) fn repeat(
    context: &Context,
    unit_name: &str,
    mut unit: impl FnMut() -> Outcome<(u64, Duration)>,
) -> Outcome<Sample> {
    let warm = Instant::now();
    loop {
        unit()?;
        if warm.elapsed() >= context.warm_up() {
            break;
        }
    }
    let (mut work, mut took) = (0, Duration::ZERO);
    let began = Instant::now();
    while took < context.span && began.elapsed() < context.span * 2 {
        let (more, longer) = unit()?;
        work += more;
        took += longer;
    }
    Ok(Sample::of([Figure::throughput(work as f64, took.as_secs_f64(), unit_name)]))
}
