use std::{io, ops::ControlFlow};

use standpipe::{LetterFilter, discard_dead_letters};

use super::{DeadLettersArgs, source::Source};
use crate::{
    exit::{Exit, Failure},
    load::Interrupt,
    output, size,
};

/// Throws letters away, with their rows.
pub(crate) fn run(args: &DeadLettersArgs, source: &Source, filter: &LetterFilter) -> Result<Exit, Failure> {
    let Source::Table { target, table, runtime } = source else {
        return Err(Failure::usage(format!("{} is a file; remove it by hand", args.place)));
    };
    let interrupt = Interrupt::listen()
        .map_err(|error: io::Error| Failure::refused(format!("cannot listen for signals: {error}")))?;
    let mut stopped = false;
    let told = |_: &_| {
        stopped = interrupt.asked();
        if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let discarded = runtime.block_on(discard_dead_letters(&**target, table, filter, told))?;
    output::say(format!("{} dead letters discarded", size::count(discarded.letters)));
    Ok(if stopped { Exit::Interrupted } else { Exit::Applied })
}
