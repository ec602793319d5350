use std::env;

use crate::{
    Outcome, crash, interrupt,
    stage::{Stages, cargo, command},
    support::Support,
};

/// The long runs: as in CI, but more of each.
pub(crate) fn run() -> Outcome {
    interrupt::watch()?;
    let mut stages = Stages::default();
    let support = Support::start(&mut stages)?;
    stages.run("tests, optimised", 1800, || cargo(&["test", "--workspace", "--release", "--quiet"]));
    stages.run("log: 200 kills", 300, || long_log("sigkill", &[], ("KILLS", "200")));
    stages.run("log: every zero flipped too", 900, || long_log("flips", &[], ("FLIPS", "all")));
    stages.run("log: hostile bytes", 600, || long_log("hostile", &[], ("MUTATIONS", "300000")));
    let planted = ["--features", "planted"];
    stages.run("log: behind the checksums", 600, || long_log("planted", &planted, ("MUTATIONS", "300000")));
    stages.run("log: lives", 600, || long_log("simulation", &[], ("SEEDS", "3000")));
    stages.run("pool: a million cancels", 600, million_cancels);
    stages.run("buffer: a million cancelled", 600, || long_buffer("lane_sweep"));
    stages.run("buffer: a million cancelled requests", 600, || long_buffer("cancel_sweep"));
    stages.run("buffer: every order", 900, models);
    stages.run("log: fuzz, 10 minutes", 900, fuzz);
    for seed in 1..=4 {
        for stdin in [false, true] {
            let name = format!("crash: {}, 250 kills, seed {seed}", if stdin { "stdin" } else { "file" });
            stages.run(&name, 1200, || crash::run(&crash::CrashArgs::long(stdin, seed)));
        }
    }
    for seed in 1..=2 {
        let name = format!("crash: PostgreSQL, 200 kills and more, seed {seed}");
        stages.run(&name, 2400, || crash::run(&crash::CrashArgs::postgres_long(seed)));
    }
    stages.run("bench: every workload", 2400, || bench(&["run", "--full"]));
    stages.run("bench: planted slowdowns", 3600, || bench(&["selftest"]));
    stages.run("bench: an hour of the pool", 4200, || {
        bench(&["run", "--full", "--group", "pool.leak", "--span", "3600s", "--rounds", "1"])
    });
    support.finish(&mut stages);
    stages.finish()
}

/// At every number of polls, in whatever state the pool is.
fn million_cancels() -> Outcome {
    let arguments = [
        "test",
        "--release",
        "--quiet",
        "--package",
        "standpipe-pool",
        "--features",
        "tokio",
        "--test",
        "known_failures",
        "p4",
        "--",
        "--nocapture",
    ];
    command("cargo", &arguments, &[("CANCELS", "1000000")])
}

/// A test of the log with more of what it tries.
fn long_log(test: &str, more: &[&str], setting: (&str, &str)) -> Outcome {
    let arguments = ["test", "--release", "--quiet", "--package", "standpipe-wal", "--test", test];
    command("cargo", &[&arguments[..], more, &["--", "--nocapture"]].concat(), &[setting])
}

/// A sweep of the buffer with more of what it tries.
fn long_buffer(test: &str) -> Outcome {
    let arguments = ["test", "--release", "--quiet", "--package", "standpipe-buffer", "--test", test];
    command("cargo", &[&arguments[..], &["--", "--nocapture"]].concat(), &[("CANCELS", "1000000")])
}

/// The buffer's protocols in every order, and with failures planted that must be found.
fn models() -> Outcome {
    let arguments = ["test", "--release", "--quiet", "--package", "standpipe-buffer", "--lib"];
    let more = ["--features", "planted", "loom", "--", "--nocapture"];
    let target = crate::data::root().join("target/loom");
    let settings = [("RUSTFLAGS", "--cfg loom"), ("CARGO_TARGET_DIR", &*target.to_string_lossy())];
    command("cargo", &[&arguments[..], &more].concat(), &settings)
}

/// Each fuzz target for a third of ten minutes, guided by coverage. Built as `cargo fuzz` builds them but for the address
/// sanitizer, which needs a nightly compiler and has nothing to find where there is no unsafe code.
fn fuzz() -> Outcome {
    const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
    let place = "crates/wal/fuzz";
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let manifest = format!("{place}/Cargo.toml");
    let build = ["build", "--release", "--quiet", "--manifest-path", &manifest, "--target", &target];
    command("cargo", &build, &[("RUSTFLAGS", FLAGS)])?;
    for name in ["last_segment", "directory", "mutated"] {
        // What is found is kept beside the build; the corpus in the tree is only read.
        let found = format!("{place}/target/found/{name}");
        std::fs::create_dir_all(crate::data::root().join(&found))
            .map_err(|error| format!("{found}: {error}"))?;
        let program = crate::data::root().join(format!("{place}/target/{target}/release/{name}"));
        let kept = format!("{place}/corpus/{name}");
        let limits = ["-max_total_time=200", "-max_len=66000", "-malloc_limit_mb=64", "-rss_limit_mb=2048"];
        let artifacts = format!("-artifact_prefix={place}/target/found/{name}-");
        let arguments = [&limits[..], &["-print_final_stats=1", &artifacts, &found, &kept]].concat();
        command(&program.to_string_lossy(), &arguments, &[])?;
    }
    Ok(())
}

/// A process of its own, because it takes signals for itself.
fn bench(arguments: &[&str]) -> Outcome {
    let program = env::current_exe().map_err(|error| format!("xtask: {error}"))?;
    let all: Vec<_> = ["bench"].into_iter().chain(arguments.iter().copied()).collect();
    command(&program.to_string_lossy(), &all, &[])
}
