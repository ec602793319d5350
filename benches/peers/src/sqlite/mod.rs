use standpipe_harness::{Key,Workload};
pub(crate) fn workloads() -> Vec<Workload> { Vec::new() }
pub(crate) const PYTHON_VENV: Key = Key { name: "python.venv", says: "path" };
