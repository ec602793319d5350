use clap::Args;

use crate::{
    Outcome, crash, data, interrupt, licences,
    stage::{Stages, cargo, command, is_there},
    support::Support,
    tidy,
};

/// The arguments of `test`.
#[derive(Args)]
pub(crate) struct TestArgs {
    /// Only the stages whose name holds this word
    #[arg(long)]
    only: Option<String>,
}

/// Every stage that a change must pass, each with a stated budget in seconds (2 cores, nothing built before: the first
/// stages carry the build).
pub(crate) fn run(args: &TestArgs) -> Outcome {
    interrupt::watch()?;
    let mut stages = Stages::only(args.only.as_deref());
    stages.run("format", 10, || cargo(&["fmt", "--all", "--check"]));
    stages.run("tidy", 10, tidy::run);
    stages.run("licences", 20, licences::run);
    stages.run("clippy", 360, || {
        cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])
    });
    stages.run("docs", 240, || {
        command(
            "cargo",
            &["doc", "--workspace", "--no-deps", "--quiet"],
            &[("RUSTDOCFLAGS", "--deny warnings")],
        )
    });
    // Servers are started for those who need them only.
    let needed = ["services", "tests", "counts", "features", "planted in postgres"]
        .iter()
        .any(|name| stages.wants(name));
    let support = needed.then(|| Support::start(&mut stages)).transpose()?;
    stages
        .run("tests", 1080, || cargo(&["test", "--workspace", "--all-targets", "--quiet", "--no-fail-fast"]));
    stages.run("counts", 180, counts);
    stages.run("planted in the log", 120, planted);
    stages.run("pool: rows, planted and not", 180, pool);
    stages.run("planted in the buffer", 180, planted_in_buffer);
    stages.run("planted in postgres", 240, planted_in_postgres);
    stages.run("pool with sqlx", 300, pool_with_sqlx);
    stages.run("doc tests", 180, || cargo(&["test", "--workspace", "--doc", "--quiet"]));
    stages.run("features", 120, features);
    stages.run("packages", 60, packages);
    stages.run("crash: file, 25 kills", 300, || crash::run(&crash::CrashArgs::ci(false)));
    stages.run("crash: stdin, 25 kills", 300, || crash::run(&crash::CrashArgs::ci(true)));
    crash_postgres(&mut stages);
    if let Some(support) = support {
        support.finish(&mut stages);
    }
    if stages.wants("advisories") {
        advisories(&mut stages);
    }
    stages.finish()
}

/// Against a server of its own, which is killed too.
fn crash_postgres(stages: &mut Stages) {
    const NAME: &str = "crash: PostgreSQL, 20 kills and more";
    if !stages.wants(NAME) {
        return;
    }
    match crash::postgres::server() {
        Ok(server) => {
            stages.run(NAME, 120, || crash::postgres::run_on(server, &crash::CrashArgs::postgres_short()));
        }
        Err(why) => stages.skip(NAME, &why.to_string(), true),
    }
}

/// The sweeps once more, with the counts that they print: how much was tried is part of what they show. Of the whole
/// workspace, as the stage before: one package alone has other features, and all that it needs would be built again for it.
fn counts() -> Outcome {
    let sweeps = ["power_cut", "flips", "faults", "hostile", "sigkill", "delivery_model", "bad_input"];
    let mut arguments = vec!["test", "--quiet", "--workspace"];
    arguments.extend(sweeps.iter().flat_map(|sweep| ["--test", sweep]));
    arguments.extend(["--", "--nocapture"]);
    // Panics are planted here; where they were planted is no news.
    command("cargo", &arguments, &[("RUST_BACKTRACE", "0")])
}

/// The known failures that lie inside the log's own code, switched on: the tests of their rows must fail then.
fn planted() -> Outcome {
    let arguments =
        ["test", "--quiet", "--package", "standpipe-wal", "--features", "planted", "--test", "planted"];
    command("cargo", &[&arguments[..], &["--", "--nocapture"]].concat(), &[("RUST_BACKTRACE", "0")])
}

/// The pool's known failures on paused time, with 100,000 cancels, and the same checks with each failure switched on.
fn pool() -> Outcome {
    let package = ["test", "--quiet", "--package", "standpipe-pool", "--features"];
    let known = ["tokio", "--test", "known_failures", "--", "--nocapture"];
    command("cargo", &[&package[..], &known].concat(), &[("RUST_BACKTRACE", "0")])?;
    let planted = ["tokio,planted", "--test", "planted", "--", "--nocapture"];
    command("cargo", &[&package[..], &planted].concat(), &[("RUST_BACKTRACE", "0")])?;
    cargo(&[&package[..], &["tokio,tracing,metrics", "--test", "background"]].concat())
}

/// All of the buffer's tests, as its planted failures are beside what they concern.
fn planted_in_buffer() -> Outcome {
    let arguments = ["test", "--quiet", "--package", "standpipe-buffer", "--features", "planted", "--tests"];
    command("cargo", &arguments, &[("RUST_BACKTRACE", "0")])
}

/// The rows S1 to S6 and S8 with each failure switched on, on a real server: the checks must find them.
fn planted_in_postgres() -> Outcome {
    let arguments =
        ["test", "--quiet", "--package", "standpipe-postgres", "--features", "planted", "--test", "planted"];
    command("cargo", &arguments, &[("RUST_BACKTRACE", "0")])
}

/// sqlx's pool and ours over sqlx's connections, on SQLite: a workspace of its own with a lock file of its own.
fn pool_with_sqlx() -> Outcome {
    let manifest = format!("{}/Cargo.toml", data::POOL_WITH_SQLX);
    let target = data::target_dir().join("pool-sqlx");
    cargo(&["fmt", "--check", "--manifest-path", &manifest])?;
    let arguments = [
        "test",
        "--locked",
        "--quiet",
        "--manifest-path",
        &manifest,
        "--target-dir",
        &target.to_string_lossy(),
    ];
    let lints = ["--all-targets", "--", "--deny", "warnings"];
    cargo(&[&["clippy"], &arguments[1..], &lints[..]].concat())?;
    // Some of the tests panic, as they must; where is no news.
    command("cargo", &arguments, &[("RUST_BACKTRACE", "0")])
}

/// Each crate builds alone, as it is picked alone, and the facade with each feature alone.
fn features() -> Outcome {
    for crate_name in
        ["log", "core", "wal", "buffer", "pool", "pool-sqlx", "row", "sink", "sqlite", "postgres", "testkit"]
    {
        cargo(&["check", "--quiet", "--package", &format!("standpipe-{crate_name}")])?;
    }
    cargo(&["check", "--quiet", "--package", "standpipe", "--no-default-features"])?;
    cargo(&["check", "--quiet", "--package", "standpipe", "--no-default-features", "--features", "wal"])?;
    for feature in ["sqlite", "postgres"] {
        cargo(&[
            "check",
            "--quiet",
            "--package",
            "standpipe",
            "--no-default-features",
            "--features",
            feature,
        ])?;
    }
    cargo(&[
        "test",
        "--quiet",
        "--package",
        "standpipe-wal",
        "--features",
        "mmap,planted",
        "--test",
        "mapped",
    ])?;
    cargo(&["test", "--quiet", "--package", "standpipe-wal", "--features", "mmap", "--doc", "mapped"])?;
    cargo(&["test", "--quiet", "--package", "standpipe-buffer", "--features", "metrics"])?;
    cargo(&["test", "--quiet", "--package", "standpipe-sink", "--features", "metrics", "--test", "metrics"])
}

/// What no registry gets.
const UNPUBLISHED: &[&str] = &["xtask", "standpipe-benches", "standpipe-harness"];

/// Every crate that is published packages: its files are whole, and its manifest says what a registry wants.
fn packages() -> Outcome {
    let mut arguments = vec!["package", "--workspace", "--no-verify", "--allow-dirty", "--quiet"];
    arguments.extend(UNPUBLISHED.iter().flat_map(|name| ["--exclude", name]));
    cargo(&arguments)
}

/// Needs cargo-deny and the advisory database, which not every machine can fetch quickly.
fn advisories(stages: &mut Stages) {
    if is_there("cargo-deny", "--version") {
        stages.run("advisories", 60, || {
            command("cargo-deny", &["check", "advisories", "bans", "sources"], &[])
        });
    } else {
        stages.skip(
            "advisories",
            "cargo-deny is not installed (cargo install cargo-deny, about ten minutes)",
            false,
        );
    }
}
