//! Lists the workloads, and runs one of them once: `standpipe-bench sample NAME --scratch DIR`. `cargo xtask bench`
//! calls it; it is of use by itself under a profiler.

use std::process::ExitCode;

use standpipe_benches::{reserved, setup, workloads};
use standpipe_harness::{Counting, program};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    program(&workloads(), &reserved(), setup::KEYS)
}
