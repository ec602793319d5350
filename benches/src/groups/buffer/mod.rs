//! The buffer alone, in memory: the budget, lanes, the batches they are cut into and what is left of them by key.

mod allocations;
mod batch;
mod budget;
mod drain;
mod fair;
mod ours;
mod overload;
mod producers;
mod reduce;
mod trigger;

use std::time::Instant;

use standpipe_buffer::{Permit, Weigh, Weight};
use standpipe_harness::Workload;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    [
        budget::workloads(),
        batch::workloads(),
        trigger::workloads(),
        producers::workloads(),
        overload::workloads(),
        fair::workloads(),
        allocations::workloads(),
        reduce::workloads(),
    ]
    .concat()
}

/// What is pushed: so many rows and bytes, the memory they take, and when they came.
struct Item {
    number: u64,
    rows: u64,
    pushed: Instant,
    permit: Permit,
}

impl Weigh for Item {
    fn weight(&self) -> Weight {
        Weight { rows: self.rows, bytes: self.permit.bytes() }
    }
}
