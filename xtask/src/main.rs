//! `cargo xtask`: the one way to run everything.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command for a terminal")]

mod bench;
mod crash;
mod data;
mod interrupt;
mod licences;
mod nightly;
mod services;
mod stage;
mod support;
mod test;
mod tidy;

use std::{any::Any, panic, process::ExitCode};

use clap::{Parser, Subcommand};

/// Tests, crash runs, benchmarks and checks of standpipe.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
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
    /// How fast each crate is, and whether a change made it slower
    Bench(bench::BenchArgs),
    /// Throw-away servers for tests: PostgreSQL, and PgBouncer before it
    Services(services::ServicesArgs),
    /// The long runs
    Nightly,
    /// The arrows between crates, and other rules of the house
    Tidy,
}

/// What a shell calls a process that a signal ended.
const INTERRUPTED: u8 = 130;

/// What `bench` ends with when it could not do what it was asked: 1 says that something became slower.
const NOT_DONE: u8 = 2;

/// What went wrong, for people.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    // Whoever reads our output may have gone: that is no bug of ours, and what was made is cleaned up on the way out.
    let said = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !is_closed_output(panic.payload()) {
            said(panic);
        }
    }));
    panic::catch_unwind(run).unwrap_or_else(|payload| {
        if is_closed_output(&*payload) { ExitCode::from(NOT_DONE) } else { panic::resume_unwind(payload) }
    })
}

/// Whether this is how the standard library says that standard output or standard error take nothing more.
fn is_closed_output(payload: &(dyn Any + Send)) -> bool {
    payload.downcast_ref::<String>().is_some_and(|text| text.starts_with("failed printing to std"))
}

fn run() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let mut failure = ExitCode::FAILURE;
    let outcome = match Args::parse().command {
        Command::Test(args) => test::run(&args).map(done),
        Command::Crash(args) => crash::run(&args).map(done),
        Command::Bench(args) => {
            failure = ExitCode::from(NOT_DONE);
            bench::run(args).map(ExitCode::from)
        }
        Command::Services(args) => services::run(args),
        Command::Nightly => nightly::run().map(done),
        Command::Tidy => tidy::run().map(done),
    };
    outcome.unwrap_or_else(|message| {
        eprintln!("xtask: {message}");
        if message == interrupt::INTERRUPTED { ExitCode::from(INTERRUPTED) } else { failure }
    })
}
