//! `standpipe load`: from arguments to the summary.

mod context;
mod dry_run;
mod encode;
mod feed;
mod from_file;
mod from_stdin;
mod identity;
mod infer;
mod input;
mod interrupt;
mod limits;
mod log_dir;
mod plan;
mod progress;
mod resume;
mod run;
mod split;
mod stdin;
mod summary;
mod watch;

use std::{io, process::Command, sync::Arc, time::Duration};

use standpipe::{
    DeadLetterFile, Settings, SinkError, TableName, Target, TargetUrl, open_target_within,
    row::NonFinite,
    sink::{DeadLetters, Retry},
};
use tokio::runtime::{Builder, Runtime};

use self::{
    context::Context,
    input::Input,
    plan::{Asked, Origin, Plan},
    progress::Progress,
    summary::Summary,
    watch::Watch,
};
pub(crate) use self::{interrupt::Interrupt, limits::MEMORY_BYTES_MIN};
use crate::{
    args::LoadArgs,
    exit::{Exit, Failure},
};

/// The runtime of every command: the flush workers and the acknowledger run on it, parsing does not.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::refused(format!("cannot start the runtime: {error}")))
}

/// Loads every input, one after the other, and tells how it went.
pub(crate) fn run(args: &LoadArgs) -> Result<Exit, Failure> {
    let inputs = inputs(args)?;
    let url: TargetUrl =
        args.to.parse().map_err(|error: standpipe::Error| Failure::usage(error.to_string()))?;
    if args.wal_retain > args.wal_max / 2 {
        return Err(Failure::usage(
            "--wal-retain is at most half of --wal-max: the log needs room to fill again",
        ));
    }
    // What cannot be used is refused before anything is opened.
    settings(args, &url)?;
    let interrupt = Interrupt::listen()
        .map_err(|error: io::Error| Failure::refused(format!("cannot listen for signals: {error}")))?;
    let runtime = runtime()?;
    let watch = Arc::new(Watch::default());
    let mut summary = Summary::start(args, &url);
    // A dry run makes no database.
    let is_open = !(args.dry_run && args.create && is_absent(&url));
    let target = if is_open { Some(open(args, &url, &runtime, &interrupt)?) } else { None };
    let describe = |table: &TableName| match &target {
        Some(target) => context::patiently(args.retry_for, &interrupt, || {
            Ok(runtime.block_on(target.describe(table)).map_err(SinkError::from))
        }),
        None => Ok(None),
    };
    let non_finite = match &target {
        Some(target) if target.holds_non_finite() => NonFinite::Allow,
        _ => NonFinite::Reject,
    };
    let asked = Asked { args, interrupt: &interrupt, non_finite, describe: &describe };
    let context = target.as_ref().filter(|_| !args.dry_run).map(|target| Context {
        args,
        url: &url,
        target,
        runtime: &runtime,
        watch: &watch,
        interrupt: &interrupt,
    });
    // Everything is looked at before anything is written: a wrong third file does not leave two loaded.
    let plans = plans(&asked, &inputs, context.as_ref())?;
    refuse_to_empty_twice(args, &plans)?;
    let known_bytes = plans.iter().map(|(_, origin)| origin.known_bytes()).sum::<Option<u64>>();
    let progress = Progress::start(args.progress, watch.clone(), known_bytes);
    let ended = match &context {
        Some(context) => run::all(context, plans, &mut summary),
        None => dry_run::all(args, plans, &watch, &interrupt, &mut summary),
    };
    drop(progress);
    let closed = target.as_ref().map_or(Ok(()), |target| runtime.block_on(target.close()));
    summary.print(&watch, &target.as_ref().map(|target| target.remarks()).unwrap_or_default());
    ended?;
    closed?;
    Ok(summary.exit(&watch, interrupt.asked()))
}

fn is_absent(url: &TargetUrl) -> bool {
    matches!(url, TargetUrl::Sqlite(path) if !path.exists())
}

fn open(
    args: &LoadArgs,
    url: &TargetUrl,
    runtime: &Runtime,
    interrupt: &Interrupt,
) -> Result<SharedTarget, Failure> {
    // One wait for a lock is short, so that an interrupt is heeded; all of them together are as long as was said.
    let patience = args.retry_for.clamp(Duration::from_millis(1), Duration::from_secs(2));
    let create = args.create && !args.dry_run;
    context::patiently(args.retry_for, interrupt, || {
        Ok(runtime.block_on(open_target_within(url, create, patience)).map_err(SinkError::from))
    })
}

/// Plans every input. Standard input comes last: before it is looked at, what the log has of it is applied, and a wrong
/// file should be told before that.
fn plans(
    asked: &Asked<'_>,
    inputs: &[Input],
    context: Option<&Context<'_>>,
) -> Result<Vec<(Plan, Origin)>, Failure> {
    let mut plans: Vec<Option<(Plan, Origin)>> = inputs.iter().map(|_| None).collect();
    for (input, plan) in inputs.iter().zip(&mut plans).filter(|(input, _)| **input != Input::Stdin) {
        *plan = Some(Plan::make(asked, input).map_err(|failure| failure.at(input.name()))?);
    }
    for (input, plan) in inputs.iter().zip(&mut plans).filter(|(input, _)| **input == Input::Stdin) {
        let planned = match context {
            Some(context) => plan_stdin(asked, input, context),
            None => Plan::make(asked, input),
        };
        *plan = Some(planned.map_err(|failure| failure.at(input.name()))?);
    }
    Ok(plans.into_iter().flatten().collect())
}

fn plan_stdin(asked: &Asked<'_>, input: &Input, context: &Context<'_>) -> Result<(Plan, Origin), Failure> {
    let (_, stream) = plan::names(asked.args, input)?;
    let kept = from_stdin::recover(context, &stream)?;
    match Plan::make(asked, input) {
        Ok((plan, Origin::Peeked(stdin))) => Ok((plan, Origin::Stdin { stdin, kept: Box::new(kept) })),
        Ok(planned) => Ok(planned),
        Err(failure) => {
            from_stdin::abandon(context, kept);
            Err(failure)
        }
    }
}

fn inputs(args: &LoadArgs) -> Result<Vec<Input>, Failure> {
    if args.files.is_empty() {
        return Err(Failure::usage(
            "no input: name files, or - for standard input (standpipe load --help has examples)",
        ));
    }
    let inputs: Vec<Input> = args.files.iter().map(|file| Input::of(file)).collect();
    if inputs.len() > 1 && args.stream.is_some() {
        return Err(Failure::usage("--stream names one stream; with several inputs leave it out"));
    }
    for (index, input) in inputs.iter().enumerate() {
        if inputs[..index].iter().any(|earlier| earlier.is_same(input)) {
            return Err(Failure::usage(format!("{} is given twice", input.name())));
        }
    }
    Ok(inputs)
}

/// The second file would take the first one's rows out again.
fn refuse_to_empty_twice(args: &LoadArgs, plans: &[(Plan, Origin)]) -> Result<(), Failure> {
    let table = |index: usize| &plans[index].0.destination.table;
    let twice = (1..plans.len()).find(|index| (0..*index).any(|earlier| table(earlier) == table(*index)));
    match twice {
        Some(index) if args.truncate => Err(Failure::usage(format!(
            "--truncate empties a table for each file that is loaded into it, and several go into {}; load the first \
             with --truncate and the others without it",
            table(index)
        ))),
        _ => Ok(()),
    }
}

/// The sink's settings as the command line has them.
fn settings(args: &LoadArgs, url: &TargetUrl) -> Result<Settings, Failure> {
    Ok(Settings {
        memory_bytes: args.memory,
        log_retain_bytes: args.wal_retain,
        batch_rows_max: args.batch_rows,
        batch_bytes_max: args.batch_bytes,
        flush_after: args.flush_after,
        workers: usize::from(args.workers),
        retry: Retry { give_up_after: Some(args.retry_for), ..Retry::default() },
        dead_letters: match args.dead_letter.strip_prefix("table:") {
            Some(table) => DeadLetters::Table(url.table(table)),
            None => DeadLetters::Store(Arc::new(dead_letter_file(&args.dead_letter, url)?)),
        },
        errors_max: args.max_errors,
        owner: owner(),
        ..Settings::default()
    })
}

fn dead_letter_file(path: &str, url: &TargetUrl) -> Result<DeadLetterFile, Failure> {
    let is_database =
        format!("sqlite:{path}").parse().is_ok_and(|file: TargetUrl| file.canonical() == url.canonical());
    if is_database {
        return Err(Failure::usage(format!(
            "--dead-letter {path} is the database itself; name another file, or table:NAME for a table in it"
        )));
    }
    DeadLetterFile::open(path, &url.canonical())
        .map_err(|error| Failure::usage(format!("--dead-letter: {error}")))
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
