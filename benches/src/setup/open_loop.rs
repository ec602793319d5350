//! Writers at a stated rate, whatever becomes of their rows.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use standpipe_harness::{Context, Figure, Latency, Outcome, Pace, Sample};

use super::{Pipeline, rows::Row};

/// How far a row has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Acknowledged: in the log, on disk.
    Durable,
    /// Committed to its table.
    Applied,
}

/// A load that does not wait for what it loads.
#[derive(Clone, Copy, Debug)]
pub struct OpenLoop {
    /// Threads that write. Each starts its writes at moments of its own; together they are evenly spread.
    pub writers: u32,
    /// Writes a second, of all writers.
    pub rate: f64,
    /// Rows of one write.
    pub rows: u64,
    /// Where a row's time ends.
    pub stage: Stage,
}

/// The share of the asked rate below which the figures are said to be those of an overload.
const ENOUGH: f64 = 0.99;

impl OpenLoop {
    /// Writes for the warm-up and then for the span, and gives the latencies of the writes that were meant to start
    /// within the span, from that moment on.
    ///
    /// # Errors
    /// The sink's, or a writer that panicked.
    pub fn run<R: Row>(&self, context: &Context, pipeline: &Pipeline) -> Outcome<Sample> {
        let (sender, receiver) = mpsc::channel();
        // Threads take a moment to start; the first intended moment is not before.
        let start = Instant::now() + Duration::from_millis(5);
        let began = start + context.warm_up();
        let end = began + context.span;
        let interval = Duration::from_secs_f64(1.0 / self.rate.max(1e-3));
        let (latency, late) = thread::scope(|scope| -> Outcome<_> {
            let writers: Vec<_> = (0..self.writers.max(1))
                .map(|writer| {
                    let pace =
                        Pace::new(start + interval * writer, self.rate / f64::from(self.writers.max(1)));
                    let sender = sender.clone();
                    let tail = end - context.span / 4;
                    scope.spawn(move || self.write::<R>(pipeline, pace.until(end), tail, &sender))
                })
                .collect();
            drop(sender);
            let mut latency = Latency::since(began);
            for (intended, ended) in receiver {
                let ended: Result<Instant, standpipe_sink::SinkError> = ended;
                let ended = ended?;
                if intended >= began {
                    latency.record(intended, ended);
                }
            }
            let mut late = Duration::ZERO;
            for writer in writers {
                late = late.max(writer.join().map_err(|_| "a writer panicked")??);
            }
            Ok((latency, late))
        })?;
        // What all writers were behind at the end, for as long as they were: a single late write is no overload.
        let share = context.span.as_secs_f64() / (context.span + late).as_secs_f64();
        let mut sample = Sample::default().with_latency(&latency);
        if share < ENOUGH {
            sample = sample.with(Figure::told("achieved_rate", self.rate * share, "writes/s")).note(format!(
                "asked for {:.0} writes/s and reached {:.0}: these latencies are those of an overload",
                self.rate,
                self.rate * share
            ));
        }
        Ok(sample)
    }

    /// One writer. Returns by how much all its writes from `tail` on were late.
    fn write<R: Row>(
        &self,
        pipeline: &Pipeline,
        pace: Pace,
        tail: Instant,
        sender: &mpsc::Sender<(Instant, Result<Instant, standpipe_sink::SinkError>)>,
    ) -> Outcome<Duration> {
        let runtime = pipeline.runtime();
        let (stage, mut late) = (self.stage, None::<Duration>);
        for intended in pace {
            if intended >= tail {
                late = Some(late.map_or(intended.elapsed(), |late| late.min(intended.elapsed())));
            }
            let receipt = runtime.block_on(pipeline.write::<R>(self.rows))?;
            let sender = sender.clone();
            runtime.spawn(async move {
                let ended = match stage {
                    Stage::Durable => receipt.durable().await,
                    Stage::Applied => receipt.applied().await,
                };
                // Nobody waits any more after an error.
                let _ = sender.send((intended, ended.map(|()| Instant::now())));
            });
        }
        Ok(late.unwrap_or_default())
    }
}
