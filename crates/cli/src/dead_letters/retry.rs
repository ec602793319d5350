use std::{
    io::{self, IsTerminal},
    ops::ControlFlow,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use standpipe::{
    LetterFilter, LetterRetry, TableName, retry_dead_letters,
    sink::{Retried, Retry},
};

use super::{DeadLettersArgs, reasons::Reasons, source::Source};
use crate::{
    args::{ModeArg, ProgressArg},
    exit::{Exit, Failure},
    load::Interrupt,
    output::{self, Style},
    size,
};

/// Tries letters again, and tells what became of them.
pub(crate) fn run(args: &DeadLettersArgs, source: &Source, filter: LetterFilter) -> Result<Exit, Failure> {
    let Source::Table { target, table, runtime } = source else {
        return Err(Failure::usage(format!(
            "{file} is a file, and no commit can take rows out of it and write them at once. Export the rows (standpipe \
             dead-letters {file} --export again.ndjson), mend them, load them (standpipe load again.ndjson --to URL \
             --table TABLE), and remove {file}",
            file = args.place
        )));
    };
    if args.mode != ModeArg::Append && args.key.is_empty() {
        return Err(Failure::usage("this mode needs to know the key: add --key column[,column]"));
    }
    let interrupt = Interrupt::listen()
        .map_err(|error: io::Error| Failure::refused(format!("cannot listen for signals: {error}")))?;
    let retry = LetterRetry {
        filter,
        to_table: args.to_table.as_ref().map(|table| match args.place.parse::<standpipe::TargetUrl>() {
            Ok(url) => url.table(table),
            Err(_) => TableName::new(table),
        }),
        mode: args.mode.into(),
        key: args.key.clone(),
        letters_max: args.limit.unwrap_or(u64::MAX),
        batch_rows: args.batch_rows,
        retry: Retry { give_up_after: Some(args.retry_for), ..Retry::default() },
        ..LetterRetry::of(table.clone())
    };
    let began = Instant::now();
    let mut progress = Progress::start(args.progress, began);
    let (mut so_far, mut reasons, mut stopped) = (Retried::default(), Reasons::default(), false);
    let ended = runtime.block_on(retry_dead_letters(&**target, &retry, |step| {
        so_far = *step.so_far;
        step.refused.iter().for_each(|letter| reasons.count(letter));
        progress.show(&so_far);
        stopped = interrupt.asked();
        if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    progress.end();
    if let Err(error) = ended {
        let failure = Failure::from(error);
        if so_far.letters() == 0 {
            return Err(failure);
        }
        let said =
            format!("{}. Before that: {}; run it again for the rest", failure.message, counts(&so_far));
        return Err(Failure::new(failure.exit, said));
    }
    summary(args, &so_far, &reasons, began.elapsed());
    Ok(match so_far {
        _ if stopped => Exit::Interrupted,
        Retried { refused_again: 0, unreadable: 0, .. } => Exit::Applied,
        _ => Exit::DeadLettered,
    })
}

fn counts(retried: &Retried) -> String {
    format!(
        "{} applied, {} refused again, {} unreadable",
        size::count(retried.applied),
        size::count(retried.refused_again),
        size::count(retried.unreadable)
    )
}

fn summary(args: &DeadLettersArgs, retried: &Retried, reasons: &Reasons, took: Duration) {
    if args.json {
        return output::say(json(retried, took));
    }
    output::say(format!(
        "{} dead letters: {} in {:.2} s",
        size::count(retried.letters()),
        counts(retried),
        took.as_secs_f64()
    ));
    reasons.lines().for_each(output::say);
    if retried.unreadable > 0 {
        output::say(
            "The unreadable ones are as they came and no JSON objects, so which field goes where is not known; they stay. \
             --export FILE --with-reasons has them, to be mended and loaded as a file of their own",
        );
    }
}

fn json(retried: &Retried, took: Duration) -> serde_json::Value {
    serde_json::json!({
        "elapsed_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "applied": retried.applied,
        "refused_again": retried.refused_again,
        "unreadable": retried.unreadable,
    })
}

/// How it goes, on standard error, after every commit but not more often than is read.
struct Progress {
    kind: ProgressArg,
    bar: Option<ProgressBar>,
    began: Instant,
    shown: Instant,
}

impl Progress {
    fn start(kind: ProgressArg, began: Instant) -> Self {
        let kind = match kind {
            ProgressArg::Auto if io::stderr().is_terminal() => ProgressArg::Bar,
            ProgressArg::Auto => ProgressArg::Plain,
            other => other,
        };
        let bar = (kind == ProgressArg::Bar).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
                bar.set_style(style);
            }
            output::set_style(Style::Above(bar.clone()));
            bar
        });
        if kind == ProgressArg::Json {
            output::set_style(Style::Json);
        }
        Progress { kind, bar, began, shown: began }
    }

    fn show(&mut self, so_far: &Retried) {
        let period = match self.kind {
            ProgressArg::Bar => Duration::from_millis(100),
            ProgressArg::Json => Duration::from_secs(1),
            _ => Duration::from_secs(5),
        };
        if self.shown.elapsed() < period {
            return;
        }
        self.shown = Instant::now();
        match (&self.bar, self.kind) {
            (Some(bar), _) => {
                bar.set_message(counts(so_far));
                bar.tick();
            }
            (None, ProgressArg::Json) => output::note(json(so_far, self.began.elapsed())),
            (None, ProgressArg::Plain) => {
                output::note(format!("standpipe: {}s: {}", self.began.elapsed().as_secs(), counts(so_far)))
            }
            (None, _) => {}
        }
    }

    fn end(self) {
        if let Some(bar) = self.bar {
            output::set_style(Style::Lines);
            bar.finish_and_clear();
        }
    }
}
