//! How fast each crate is, and whether a change made it slower: `cargo xtask bench`.
//!
//! A *sample* is one run of one workload in a process of its own ([`sampler`]). A command takes samples in rounds,
//! interleaved, keeps them in a [`record`], and judges medians ([`judge`]).

mod ab;
mod args;
mod baseline;
mod build;
mod catalogue;
mod ci;
mod clean;
mod compare;
mod count;
mod date;
mod judge;
mod known;
mod list;
mod machine;
mod measurement;
mod menu;
mod peers;
mod progress;
mod record;
mod report;
mod run;
mod sampler;
mod scratch;
mod selftest;
mod summary;
mod table;
mod units;
mod verdicts;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use crate::{data, interrupt};

/// The arguments of `bench`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: Option<Command>,
}

const ABOUT: &str = "How fast each crate is, and whether a change made it slower";

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench                    on a terminal a menu
  cargo xtask bench run                the quick set, a table, JSON in target/bench/runs
  cargo xtask bench ab HEAD~1          did the last commit cost anything?
  cargo xtask bench ci                 what a CI job calls

Exit codes: 0 fine, 1 a regression, 2 it could not be done, 3 too noisy to say, 130 interrupted";

#[derive(Subcommand)]
enum Command {
    /// Run workloads, print a table, keep the figures as JSON
    Run(run::RunArgs),
    /// Run workloads, and keep the figures under a name
    Baseline(baseline::BaselineArgs),
    /// Run workloads, and hold them against a baseline: exit 1 for a regression, 3 when it is too noisy to say
    Compare(compare::CompareArgs),
    /// Hold this tree against another revision, built and measured side by side: exit 1 or 3 as `compare`
    Ab(ab::AbArgs),
    /// What a CI job calls: `ab` against the merge base, and `count`; one verdict and a markdown table
    Ci(ci::CiArgs),
    /// Count the instructions of the hot paths under callgrind: free of noise
    Count(count::CountArgs),
    /// The same work through what else could be picked, side by side, as ratios
    Peers(peers::PeersArgs),
    /// One page of HTML with plots, and the tables of docs/benchmarks.md
    Report(report::ReportArgs),
    /// Plant slowdowns in a workload made for it, and print which were found
    Selftest(selftest::SelftestArgs),
    /// Remove old records, builds and scratch
    Clean(clean::CleanArgs),
}

/// Ends well, or with what a caller acts on: 1 a regression, 3 too noisy to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Fine,
    Regression,
    Noisy,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Fine => ExitCode::SUCCESS,
            Ending::Regression => ExitCode::from(1),
            Ending::Noisy => ExitCode::from(3),
        }
    }
}

pub(crate) fn run(args: BenchArgs) -> Result<Ending, String> {
    let command = match args.command {
        Some(command) => Some(command),
        // Before signals are taken: Ctrl-C in the menu ends it.
        None => menu::choose()?,
    };
    let Some(command) = command else { return Ok(Ending::Fine) };
    interrupt::watch()?;
    match command {
        Command::Run(args) => run::run(&args).map(|()| Ending::Fine),
        Command::Baseline(args) => baseline::run(&args).map(|()| Ending::Fine),
        Command::Compare(args) => compare::run(&args),
        Command::Ab(args) => ab::run(&args),
        Command::Ci(args) => ci::run(&args),
        Command::Count(args) => count::run(&args),
        Command::Peers(args) => peers::run(&args).map(|()| Ending::Fine),
        Command::Report(args) => report::run(&args).map(|()| Ending::Fine),
        Command::Selftest(args) => selftest::run(&args),
        Command::Clean(args) => clean::run(&args).map(|()| Ending::Fine),
    }
}

/// Where records, baselines and builds are kept.
pub(crate) fn home() -> PathBuf {
    data::target_dir().join("bench")
}
