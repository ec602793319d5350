//! The workloads that standpipe's speed is measured with, by group. `cargo xtask bench run --list` shows them all;
//! each checks its own result, so that a fast wrong answer is an error and no figure.

pub mod groups;
pub mod hot;
pub mod setup;

use standpipe_harness::{Reserved, Workload};

/// Every workload, in the order in which the list shows them.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    [
        groups::command::workloads(),
        groups::throughput::workloads(),
        groups::latency::workloads(),
        groups::component::workloads(),
        groups::batching::workloads(),
        groups::checkpoint::workloads(),
        groups::contention::workloads(),
        groups::memory::workloads(),
        groups::case::workloads(),
        groups::log::workloads(),
        groups::buffer::workloads(),
        groups::pool::workloads(),
        groups::micro::workloads(),
        groups::selftest::workloads(),
    ]
    .concat()
}

/// Places kept for what is not built yet.
#[must_use]
pub fn reserved() -> Vec<Reserved> {
    let place =
        |name: &str, measures: &str| Reserved { name: name.to_owned(), measures: measures.to_owned() };
    vec![
        place("txn.*", "two-phase commit: prepare, decide, commit; comes with standpipe-txn"),
        place("log.compression.*", "frames with and without LZ4; comes with the log's compression"),
        place(
            "roundtrips.*",
            "round trips of a batch, and the same load with 1, 10, 50 ms added to each; comes with the first target that has a network",
        ),
    ]
}
