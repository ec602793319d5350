//! The same work through what users would pick instead of standpipe, through the usual home-made way, and at the
//! physical limit. A workload is named `<comparison>/<contender>`; `standpipe` is a contender of every comparison, and
//! all contenders of one do the same work and pass the same checks. `limit-` begins the name of a physical limit,
//! `home-` that of a home-made way. `cargo xtask bench peers` runs them interleaved and prints ratios to `standpipe`.

mod buffer;
mod closed_loop;
mod comparison;
mod limit;
mod log;
mod pool;
mod sqlite;
mod targets;

use std::process::ExitCode;

use standpipe_harness::{Reserved, program};

fn main() -> ExitCode {
    let workloads = [
        log::workloads(),
        pool::workloads(),
        buffer::workloads(),
        sqlite::workloads(),
        targets::workloads(),
        limit::workloads(),
    ]
    .concat();
    program(&workloads, &reserved(), &[&[sqlite::PYTHON_VENV], &targets::KEYS[..]].concat())
}

fn reserved() -> Vec<Reserved> {
    let place =
        |name: &str, measures: &str| Reserved { name: name.to_owned(), measures: measures.to_owned() };
    vec![
        place(
            "txn.map",
            "the transactions under way: ours against a map behind one RwLock; comes with standpipe-txn",
        ),
        place(
            "buffer.counters",
            "counting from many threads: ours against counters behind locks; comes with the lock-free buffer, today's \
             counts behind a lock as well",
        ),
    ]
}
