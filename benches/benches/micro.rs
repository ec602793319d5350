//! The hot paths under criterion, each by the name that the list of workloads has for it:
//! `cargo bench -p standpipe-benches --bench micro -- --exact micro.encode_row`.
#![allow(clippy::print_stderr, reason = "there is nobody to return an error to")]

use std::{process, time::Instant};

use criterion::Criterion;
use standpipe_benches::hot;
use standpipe_harness::Outcome;

fn main() {
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    for hot in hot::ALL {
        // Criterion calls the closure for each of its samples; what it needs is made once, and only if it is asked for.
        let mut prepared = None;
        criterion.bench_function(&hot.benchmark(), |bencher| {
            let prepared = prepared.get_or_insert_with(|| or_exit(hot.name, hot.prepare()));
            bencher.iter_custom(|iterations| {
                let began = Instant::now();
                or_exit(hot.name, prepared.run(iterations));
                began.elapsed()
            });
        });
    }
    criterion.final_summary();
}

/// A wrong result is no figure, however fast it came.
fn or_exit<T>(name: &str, outcome: Outcome<T>) -> T {
    outcome.unwrap_or_else(|error| {
        eprintln!("{name}: {error}");
        process::exit(1)
    })
}
