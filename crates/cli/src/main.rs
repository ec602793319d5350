//! The `standpipe` command. `standpipe --help` is its documentation.
#![forbid(unsafe_code)]

mod args;
mod completions;
mod dead_letters;
mod doctor;
mod exit;
mod ledger;
mod load;
mod output;
mod size;
mod wal;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command, ProgressArg};
use crate::exit::{Exit, Failure};

fn main() -> ExitCode {
    // Broken usage is exit code 2 with clap's message, which is clap's own default.
    let args = Args::parse();
    let filter = EnvFilter::try_from_env("STANDPIPE_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    if matches!(&args.command, Command::Load(load) if load.progress == ProgressArg::Json) {
        output::set_style(output::Style::Json);
    }
    match run(args.command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::complain(&failure.message);
            failure.exit.into()
        }
    }
}

/// How a command ends that is there for nothing but what it says.
fn told(exit: Exit) -> Result<Exit, Failure> {
    match output::untold() {
        Some(error) if exit == Exit::Applied => {
            Err(Failure::usage(format!("writing to standard output: {error}")))
        }
        _ => Ok(exit),
    }
}

fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Load(args) => load::run(&args),
        Command::Wal(args) => wal::run(&args),
        Command::Ledger(args) => ledger::run(&args).and_then(told),
        Command::DeadLetters(args) => dead_letters::run(&args).and_then(told),
        Command::Doctor(args) => doctor::run(&args).and_then(told),
        Command::Completions(args) => completions::run(&args),
    }
}
