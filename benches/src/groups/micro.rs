//! The hot paths alone, timed by criterion in the `micro` bench.

use standpipe_harness::{Driver, Workload};

use crate::hot;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    hot::ALL
        .iter()
        .map(|hot| {
            let run = |_: &_| Err("criterion drives this one: cargo bench --bench micro".into());
            let workload = Workload::new(hot.benchmark(), hot.measures, run);
            Workload { quick: hot.quick, driver: Driver::Criterion, ..workload }
        })
        .collect()
}
