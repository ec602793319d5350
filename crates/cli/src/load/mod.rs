//! `standpipe load`: from arguments to the summary.

mod encode;
mod feed;
mod identity;
mod infer;
mod input;
mod interrupt;
mod log_dir;
mod plan;
mod progress;
mod run;
mod split;
mod stdin;
mod summary;
mod watch;

use std::{io, process::Command, sync::Arc};

use standpipe::{
    DeadLetterFile, Settings, TableName, Target, TargetUrl, open_target,
    sink::{DeadLetters, Retry},
};
use tokio::runtime::{Builder, Runtime};

use self::{input::Input, interrupt::Interrupt, plan::Plan, progress::Progress, summary::Summary, watch::Watch};
use crate::{
    args::LoadArgs,
    exit::{Exit, Failure},
};

/// The runtime of every command: the flush workers and the acknowledger run on it, parsing does not.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .map_err(|error| Failure::refused(format!("cannot start the runtime: {error}")))
}

/// Loads every input, one after the other, and tells how it went.
pub(crate) fn run(args: &LoadArgs) -> Result<Exit, Failure> {
    let inputs = inputs(args)?;
    let url: TargetUrl = args.to.parse().map_err(|error: standpipe::Error| Failure::usage(error.to_string()))?;
    let interrupt = Interrupt::listen()
        .map_err(|error: io::Error| Failure::refused(format!("cannot listen for signals: {error}")))?;
    let runtime = runtime()?;
    let target = runtime.block_on(open_target(&url, args.create && !args.dry_run))?;
    // Everything is looked at before anything is written: a wrong third file does not leave two loaded.
    let mut plans = Vec::with_capacity(inputs.len());
    for input in inputs {
        let name = input.name();
        plans.push(Plan::make(args, input, &*target, &runtime).map_err(|failure| failure.at(name))?);
    }
    let watch = Arc::new(Watch::default());
    let mut summary = Summary::start(args.dry_run);
    let total_bytes = plans.iter().map(|(_, origin)| origin.known_bytes()).sum::<Option<u64>>();
    let progress = Progress::start(args.progress, watch.clone(), total_bytes);
    let ended = run::all(args, &url, plans, &target, &runtime, &watch, &interrupt, &mut summary);
    drop(progress);
    let closed = runtime.block_on(target.close());
    summary.print(&watch);
    ended?;
    closed?;
    Ok(summary.exit(&watch, interrupt.asked()))
}

fn inputs(args: &LoadArgs) -> Result<Vec<Input>, Failure> {
    if args.files.is_empty() {
        return Err(Failure::usage(
            "no input; name files, or - for standard input (standpipe load --help has examples)",
        ));
    }
    let inputs: Vec<Input> = args.files.iter().map(|file| Input::of(file)).collect();
    if inputs.len() > 1 && args.stream.is_some() {
        return Err(Failure::usage("--stream names one stream; with several inputs leave it out"));
    }
    for (index, input) in inputs.iter().enumerate() {
        if inputs[..index].contains(input) {
            return Err(Failure::usage(format!("{} is given twice", input.name())));
        }
    }
    Ok(inputs)
}

/// The sink's settings as the command line has them.
fn settings(args: &LoadArgs) -> Settings {
    Settings {
        memory_bytes: args.memory,
        batch_rows_max: args.batch_rows,
        batch_bytes_max: args.batch_bytes,
        flush_after: args.flush_after,
        workers: usize::from(args.workers),
        retry: Retry { give_up_after: Some(args.retry_for), ..Retry::default() },
        dead_letters: match args.dead_letter.strip_prefix("table:") {
            Some(table) => DeadLetters::Table(TableName::new(table)),
            None => DeadLetters::Store(Arc::new(DeadLetterFile::new(&args.dead_letter))),
        },
        errors_max: args.max_errors,
        owner: owner(),
        ..Settings::default()
    }
}

/// Host and process, so that a person who reads the ledger knows whom to ask.
fn owner() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| {
        Command::new("hostname").output().ok().and_then(|output| String::from_utf8(output.stdout).ok())
    });
    let host = host.map_or_else(|| "unknown host".to_owned(), |host| host.trim().to_owned());
    format!("{host}, process {}", std::process::id())
}

/// What every part of a load needs of the target.
type SharedTarget = Arc<dyn Target>;
