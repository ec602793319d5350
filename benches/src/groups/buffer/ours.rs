//! All that the workloads beside this say to the buffer.

use std::time::Instant;

use standpipe_buffer::{Budget, Policy, Taken, Taker, TokioClock, Weigh, Weight};
use standpipe_harness::{Outcome, check};

/// Rows of one lane that were pushed together.
pub(super) struct Rows {
    pub(super) rows: u64,
    /// When they were meant to be pushed.
    pub(super) intended: Instant,
    bytes: u64,
}

impl Weigh for Rows {
    fn weight(&self) -> Weight {
        Weight { rows: self.rows, bytes: self.bytes }
    }
}

/// The buffer.
#[derive(Clone)]
pub(super) struct Buffer(standpipe_buffer::Buffer<u32, Rows>);

impl Buffer {
    pub(super) fn new(limit_bytes: u64, policy: Policy) -> Self {
        Buffer(standpipe_buffer::Buffer::new(policy, Budget::new(limit_bytes)))
    }

    /// How much of the limit is in use, from 0 to 1.
    pub(super) fn fill(&self) -> f64 {
        self.0.budget().in_use() as f64 / self.0.budget().limit() as f64
    }

    pub(super) fn push_blocking(&self, lane: u32, rows: u64, bytes: u64, intended: Instant) -> Outcome<()> {
        Ok(self.0.push_blocking(lane, Rows { rows, intended, bytes })?)
    }

    /// The same from a task.
    pub(super) async fn push(&self, lane: u32, rows: u64, bytes: u64, intended: Instant) -> Outcome<()> {
        Ok(self.0.push(lane, Rows { rows, intended, bytes }, &TokioClock).await?)
    }

    pub(super) fn taking(&self) -> Taking {
        Taking(self.0.taker())
    }

    pub(super) fn close(&self) {
        self.0.close();
    }

    /// Sees that everything was given back, and never more in use than there is.
    pub(super) fn check_empty(&self) -> Outcome<()> {
        check("rows left behind", self.0.waiting().rows, 0)?;
        check("bytes still in use", self.0.budget().in_use(), 0)?;
        check("the most in use is within the budget", self.0.budget().peak() <= self.0.budget().limit(), true)
    }
}

/// Who takes.
pub(super) struct Taking(Taker<u32, Rows>);

impl Taking {
    /// The next batch; `None` after the end.
    pub(super) fn next(&mut self) -> Option<Batch> {
        self.0.take_blocking().map(Batch)
    }
}

/// What was taken.
pub(super) struct Batch(Taken<u32, Rows>);

impl Batch {
    pub(super) fn lane(&self) -> u32 {
        *self.0.key()
    }

    pub(super) fn rows(&self) -> u64 {
        self.0.weight().rows
    }

    /// It is written: each of its pushes is told, and its memory given back.
    pub(super) fn complete(self, each: impl FnMut(&Rows)) {
        self.0.items().for_each(each);
        self.0.complete();
    }
}
