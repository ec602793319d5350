//! All that the workloads beside this say to the buffer.

use std::time::Instant;

use standpipe_buffer::{Budget, Lanes, Permit, Policy, Taken, Taker, Weigh, Weight};
use standpipe_harness::{Outcome, check};

/// Rows of one lane that were pushed together.
pub(super) struct Rows {
    pub(super) rows: u64,
    /// When they were meant to be pushed.
    pub(super) intended: Instant,
    permit: Permit,
}

impl Weigh for Rows {
    fn weight(&self) -> Weight {
        Weight { rows: self.rows, bytes: self.permit.bytes() }
    }
}

/// A budget and lanes.
#[derive(Clone)]
pub(super) struct Buffer {
    budget: Budget,
    lanes: Lanes<u32, Rows>,
}

impl Buffer {
    pub(super) fn new(limit_bytes: u64, policy: Policy) -> Self {
        Buffer { budget: Budget::new(limit_bytes), lanes: Lanes::new(policy) }
    }

    /// How much of the limit is in use, from 0 to 1.
    pub(super) fn fill(&self) -> f64 {
        self.budget.in_use() as f64 / self.budget.limit() as f64
    }

    /// Waits for room as a sink does: whoever has to makes the lanes due.
    pub(super) fn push_blocking(&self, lane: u32, rows: u64, bytes: u64, intended: Instant) -> Outcome<()> {
        let permit = match self.budget.try_acquire(bytes) {
            Some(permit) => permit,
            None => {
                let _pressure = self.lanes.pressure();
                self.budget.acquire_blocking(bytes)?
            }
        };
        let pushed = self.lanes.push(lane, Rows { rows, intended, permit }, Instant::now());
        Ok(pushed.map_err(|_| "the lanes are closed")?)
    }

    /// The same from a task.
    pub(super) async fn push(&self, lane: u32, rows: u64, bytes: u64, intended: Instant) -> Outcome<()> {
        let permit = match self.budget.try_acquire(bytes) {
            Some(permit) => permit,
            None => {
                let _pressure = self.lanes.pressure();
                self.budget.acquire(bytes).await?
            }
        };
        let pushed = self.lanes.push(lane, Rows { rows, intended, permit }, Instant::now());
        Ok(pushed.map_err(|_| "the lanes are closed")?)
    }

    pub(super) fn taking(&self) -> Taking {
        Taking(self.lanes.taker())
    }

    pub(super) fn close(&self) {
        self.lanes.close();
    }

    /// Sees that everything was given back, and never more in use than there is.
    pub(super) fn check_empty(&self) -> Outcome<()> {
        check("rows left behind", self.lanes.rows(), 0)?;
        check("bytes still in use", self.budget.in_use(), 0)?;
        check("the most in use is within the budget", self.budget.peak() <= self.budget.limit(), true)
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
        let rows = self.0.complete();
        rows.iter().for_each(each);
    }
}
