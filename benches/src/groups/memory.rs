use standpipe_harness::Workload;

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    Vec::new()
}
