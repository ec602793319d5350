use std::env;

use crate::{
    Outcome, crash,
    stage::{Stages, cargo, command},
};

/// The long runs: as in CI, but more of each.
pub(crate) fn run() -> Outcome {
    let mut stages = Stages::default();
    stages.run("tests, optimised", 1800, || cargo(&["test", "--workspace", "--release", "--quiet"]));
    for seed in 1..=4 {
        for stdin in [false, true] {
            let name = format!("crash: {}, 250 kills, seed {seed}", if stdin { "stdin" } else { "file" });
            stages.run(&name, 1200, || crash::run(&crash::CrashArgs::long(stdin, seed)));
        }
    }
    stages.run("bench: every workload", 2400, || bench(&["run", "--full"]));
    stages.run("bench: planted slowdowns", 3600, || bench(&["selftest"]));
    stages.run("bench: an hour of the pool", 4200, || {
        bench(&["run", "--full", "--group", "pool.leak", "--span", "3600s", "--rounds", "1"])
    });
    stages.finish()
}

/// A process of its own, because it takes signals for itself.
fn bench(arguments: &[&str]) -> Outcome {
    let program = env::current_exe().map_err(|error| format!("xtask: {error}"))?;
    let all: Vec<_> = ["bench"].into_iter().chain(arguments.iter().copied()).collect();
    command(&program.to_string_lossy(), &all, &[])
}
