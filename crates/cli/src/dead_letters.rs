use std::path::Path;

use standpipe::{DeadLetterFile, TableName, TargetUrl, core::DeadLetter, open_target};

use crate::{
    args::DeadLettersArgs,
    exit::{Exit, Failure},
    load::runtime,
    output,
};

/// `standpipe dead-letters URL|FILE`: the rows that did not reach their table, and why.
pub(crate) fn run(args: &DeadLettersArgs) -> Result<Exit, Failure> {
    let mut letters = if args.place.parse::<TargetUrl>().is_ok() {
        of_target(&args.place, &args.table, u64::from(args.limit))?
    } else {
        let path = Path::new(&args.place);
        if !path.is_file() {
            return Err(Failure::usage(format!(
                "{}: no such file; give a dead-letter file, or a target such as sqlite:flights.db",
                args.place
            )));
        }
        DeadLetterFile::read(path)?
    };
    letters.truncate(args.limit as usize);
    if args.json {
        letters.iter().for_each(|letter| output::say(json(letter)));
    } else if letters.is_empty() {
        output::say(format!("{} has no dead letters", args.place));
    } else {
        letters.iter().for_each(|letter| output::say(line(letter)));
    }
    Ok(Exit::Applied)
}

fn of_target(url: &str, table: &str, limit: u64) -> Result<Vec<DeadLetter>, Failure> {
    let url: TargetUrl = url.parse()?;
    runtime()?.block_on(async {
        let target = open_target(&url, false).await?;
        let letters = target.dead_letters(&TableName::new(table), limit).await?;
        target.close().await?;
        Ok(letters)
    })
}

/// Where it came from, and why it was refused, in one line.
pub(crate) fn line(letter: &DeadLetter) -> String {
    let mut place =
        if letter.origin.is_empty() { letter.lane.stream.to_string() } else { letter.origin.to_string() };
    if let Some(line) = letter.line {
        place.push_str(&format!(":{line}"));
    }
    let column = letter.column.as_ref().map_or(String::new(), |column| format!("column {column}: "));
    let code = letter.code.as_ref().map_or(String::new(), |code| format!(" [{code}]"));
    format!("{place}: {column}{}{code}", letter.reason)
}

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
