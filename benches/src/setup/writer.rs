//! One writer that gives a pipeline all that it takes.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use standpipe_harness::Outcome;
use standpipe_sink::Receipt;

use super::{Pipeline, rows::Row};

/// Rows of a round of the warm-up.
const WARM_ROWS: u64 = 5_000;

/// Writes batch after batch and waits for nothing but room: for memory, as every writer does, and where it has a window
/// for the rows that it wrote so long ago to be applied.
#[derive(Clone, Copy)]
pub struct Writer<'p> {
    pipeline: &'p Pipeline,
    batch: u64,
    window: u64,
}

impl<'p> Writer<'p> {
    /// A writer of so many rows a write.
    #[must_use]
    pub fn new(pipeline: &'p Pipeline, batch: u64) -> Self {
        Writer { pipeline, batch: batch.max(1), window: u64::MAX }
    }

    /// At most so many rows that are not applied.
    #[must_use]
    pub fn window(mut self, rows: u64) -> Self {
        self.window = rows.max(self.batch);
        self
    }

    /// Writes until `span` is over, and returns once all of it is applied: the rows, and the seconds that it took.
    ///
    /// # Errors
    /// The sink's.
    pub fn run_for<R: Row>(&self, span: Duration) -> Outcome<(u64, f64)> {
        self.pipeline.runtime().block_on(async {
            let began = Instant::now();
            let (mut rows, mut waiting) = (0, VecDeque::<Receipt>::new());
            loop {
                waiting.push_back(self.pipeline.write::<R>(self.batch).await?);
                rows += self.batch;
                if began.elapsed() >= span {
                    break;
                }
                if self.window == u64::MAX {
                    waiting.clear();
                }
                while waiting.len() as u64 * self.batch >= self.window {
                    match waiting.pop_front() {
                        Some(oldest) => oldest.applied().await?,
                        None => break,
                    }
                }
            }
            self.pipeline.sink().flush().await?;
            Ok((rows, began.elapsed().as_secs_f64()))
        })
    }

    /// Writes small rounds until the span is over: everything has run once, and nothing is left to be applied.
    ///
    /// # Errors
    /// The sink's.
    pub fn warm_up<R: Row>(&self, span: Duration) -> Outcome<()> {
        let began = Instant::now();
        loop {
            self.round::<R>(WARM_ROWS.div_ceil(self.batch))?;
            if began.elapsed() >= span {
                return Ok(());
            }
        }
    }

    /// Writes so many batches, and returns once they are applied: the rows.
    ///
    /// # Errors
    /// The sink's.
    pub fn round<R: Row>(&self, batches: u64) -> Outcome<u64> {
        self.pipeline.runtime().block_on(async {
            for _ in 0..batches {
                self.pipeline.write::<R>(self.batch).await?;
            }
            self.pipeline.sink().flush().await?;
            Ok(batches * self.batch)
        })
    }
}
