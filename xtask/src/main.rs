//! `cargo xtask`: the one way to run everything.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command for a terminal")]

mod bench;
mod crash;
mod data;
mod licences;
mod nightly;
mod stage;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tests, crash runs, benchmarks and checks of standpipe.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything a change must pass: format, lints, docs, arrows, tests, packages, licences
    Test(test::TestArgs),
    /// Kill the real command at seeded moments, run it again until it completes, compare the table with the source
    Crash(crash::CrashArgs),
    /// Speed and memory of the main job, as ratios in one run
    Bench(bench::BenchArgs),
    /// The long runs
    Nightly,
    /// The arrows between crates, and other rules of the house
    Tidy,
}

/// What went wrong, for people.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Crash(args) => crash::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Nightly => nightly::run(),
        Command::Tidy => tidy::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
