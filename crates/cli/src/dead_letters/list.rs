use std::ops::ControlFlow;

use standpipe::{LetterFilter, core::DeadLetter};

use super::{DeadLettersArgs, json, reasons::Reasons, source::Source};
use crate::{
    exit::{Exit, Failure},
    output, size,
};

/// Letters that are shown unless told otherwise.
const LIMIT: u64 = 1000;

/// Shows the first letters, and how many there are of each kind.
pub(crate) fn run(args: &DeadLettersArgs, source: &Source, filter: &LetterFilter) -> Result<Exit, Failure> {
    let limit = args.limit.unwrap_or(LIMIT);
    let mut reasons = Reasons::default();
    let mut shown = 0;
    source.each(filter, |letter| {
        if args.json {
            if shown == limit {
                return Ok(ControlFlow::Break(()));
            }
            output::say(json(&letter));
            shown += 1;
            return Ok(ControlFlow::Continue(()));
        }
        if shown < limit {
            output::say(line(&letter));
            shown += 1;
        }
        reasons.count(&letter);
        Ok(ControlFlow::Continue(()))
    })?;
    if args.json {
        return Ok(Exit::Applied);
    }
    match reasons.total() {
        0 if *filter == LetterFilter::default() => {
            output::say(format!("{} has no dead letters", output::shown(&args.place)));
        }
        0 => output::say(format!("{} has no such dead letters", output::shown(&args.place))),
        total => {
            let of_them = if shown < total {
                format!(", of which the first {} are shown", size::count(shown))
            } else {
                String::new()
            };
            let s = if total == 1 { "" } else { "s" };
            output::say(format!("\n{} dead letter{s}{of_them}", size::count(total)));
            reasons.lines().for_each(output::say);
        }
    }
    Ok(Exit::Applied)
}

/// Where it came from, and why it was refused, in one line.
pub(crate) fn line(letter: &DeadLetter) -> String {
    let mut place =
        if letter.origin.is_empty() { letter.lane.stream.to_string() } else { letter.origin.to_string() };
    if let Some(line) = letter.line {
        place.push_str(&format!(":{line}"));
    }
    format!("{place}: {}", why(letter, &letter.reason))
}

/// The reason with the column and the code.
pub(super) fn why(letter: &DeadLetter, reason: &str) -> String {
    let column = letter.column.as_ref().map_or(String::new(), |column| format!("column {column}: "));
    let code = letter.code.as_ref().map_or(String::new(), |code| format!(" [{code}]"));
    format!("{column}{reason}{code}")
}
