//! What the rows of `docs/known-failures.md` ask of a log, as checks that say what is wrong: sound logs pass them, and a log
//! or a storage with the row's failure planted in it does not.

pub mod loss;
pub mod service;

use std::time::Duration;

use standpipe_wal::LogError;

/// Who finds a planted failure need not wait for long.
pub const IMPATIENCE: Duration = Duration::from_millis(300);

type Outcome = Result<(), String>;

fn ensure(holds: bool, what: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(what.into()) }
}

fn said(what: &str) -> impl Fn(LogError) -> String + '_ {
    move |error| format!("{what}: {error}")
}
