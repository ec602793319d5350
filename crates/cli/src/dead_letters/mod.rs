//! `standpipe dead-letters`: the rows that did not reach their table.

mod args;
mod discard;
mod export;
mod list;
mod reasons;
mod retry;
mod source;

use standpipe::{LetterFilter, StreamId, core::DeadLetter};

use self::source::Source;
pub(crate) use self::{
    args::{DeadLettersArgs, EXAMPLES},
    list::line,
};
use crate::exit::{Exit, Failure};

/// `standpipe dead-letters URL|FILE`
pub(crate) fn run(args: &DeadLettersArgs) -> Result<Exit, Failure> {
    let filter = filter(args)?;
    if args.discard && !args.yes {
        return Err(Failure::usage(
            "--discard loses the rows for good: --export them first if in doubt, then add --yes",
        ));
    }
    let source = Source::open(args)?;
    let ended = if args.retry {
        retry::run(args, &source, filter)
    } else if args.discard {
        discard::run(args, &source, &filter)
    } else if let Some(to) = &args.export {
        export::run(args, &source, &filter, to)
    } else {
        list::run(args, &source, &filter)
    };
    source.close(ended)
}

fn filter(args: &DeadLettersArgs) -> Result<LetterFilter, Failure> {
    let stream = args.stream.as_deref().map(StreamId::new).transpose();
    let stream = stream.map_err(|error| Failure::usage(format!("--stream: {error}")))?;
    Ok(LetterFilter { stream, code: args.code.clone() })
}

/// A letter as a JSON object.
fn json(letter: &DeadLetter) -> serde_json::Value {
    serde_json::json!({
        "stream": letter.lane.stream.as_str(),
        "lane": letter.lane.lane,
        "position": letter.position,
        "ordinal": letter.ordinal,
        "table": letter.table.to_string(),
        "file": &*letter.origin,
        "line": letter.line,
        "column": letter.column,
        "code": letter.code,
        "reason": letter.reason,
        "row": String::from_utf8_lossy(&letter.row),
    })
}
