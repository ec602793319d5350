use crate::{
    Outcome, crash,
    stage::{Stages, cargo},
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
    stages.finish()
}
