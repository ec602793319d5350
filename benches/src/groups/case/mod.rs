//! After known production cases: a table of 88 columns, many tenants in it, and readers beside its writers.

mod mixed;
mod tenants;
mod wide;

use standpipe_harness::Workload;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    [wide::workloads(), tenants::workloads(), mixed::workloads()].concat()
}
