use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    ops::ControlFlow,
};

use standpipe::{LetterFilter, LetterRetry, core::DeadLetter};

use super::{DeadLettersArgs, json, source::Source};
use crate::{
    exit::{Exit, Failure},
    output, size,
};

/// Writes the rows, or the whole letters, to a file or standard output.
pub(crate) fn run(
    args: &DeadLettersArgs,
    source: &Source,
    filter: &LetterFilter,
    to: &str,
) -> Result<Exit, Failure> {
    let failed = |error: io::Error| Failure::usage(format!("{to}: {error}"));
    let (exported, left_out) = if to == "-" {
        let mut out = BufWriter::new(io::stdout().lock());
        let copied = copy(args, source, filter, &mut out)
            .and_then(|counts| out.flush().map(|()| counts).map_err(Stopped::Io));
        match copied {
            Ok(counts) => counts,
            // A reader that has seen enough.
            Err(Stopped::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Applied),
            Err(stopped) => return Err(stopped.told(failed)),
        }
    } else {
        let file =
            OpenOptions::new().write(true).create_new(true).open(to).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Failure::usage(format!(
                    "{to} is there already, and is not written over; name another file"
                )),
                _ => failed(error),
            })?;
        match write_file(args, source, filter, file) {
            Ok(counts) => counts,
            Err(stopped) => {
                // Half an export would be taken for a whole one.
                let _ = fs::remove_file(to);
                return Err(stopped.told(failed));
            }
        }
    };
    let what = if args.with_reasons { "dead letters" } else { "rows" };
    let said = format!("{} {what} exported", size::count(exported));
    if to == "-" {
        output::complain(said);
    } else {
        output::say(format!("{said} to {to}"));
    }
    if left_out == 0 {
        return Ok(Exit::Applied);
    }
    output::complain(format!(
        "{} are lines that could not be read, and no JSON objects: they were left out. --with-reasons has them too",
        size::count(left_out)
    ));
    Ok(Exit::DeadLettered)
}

enum Stopped {
    Io(io::Error),
    Source(Failure),
}

impl Stopped {
    fn told(self, io: impl Fn(io::Error) -> Failure) -> Failure {
        match self {
            Stopped::Io(error) => io(error),
            Stopped::Source(failure) => failure,
        }
    }
}

/// Whoever has the file may throw the letters away: it is on disk first.
fn write_file(
    args: &DeadLettersArgs,
    source: &Source,
    filter: &LetterFilter,
    file: File,
) -> Result<(u64, u64), Stopped> {
    let mut out = BufWriter::new(file);
    let counts = copy(args, source, filter, &mut out)?;
    let synced = out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
    synced.map(|()| counts).map_err(Stopped::Io)
}

/// Returns how many were written and how many left out.
fn copy(
    args: &DeadLettersArgs,
    source: &Source,
    filter: &LetterFilter,
    out: &mut impl Write,
) -> Result<(u64, u64), Stopped> {
    let limit = args.limit.unwrap_or(u64::MAX);
    let (mut written, mut left_out) = (0, 0);
    let mut stopped = None;
    let read = source.each(filter, |letter| {
        if written + left_out == limit {
            return Ok(ControlFlow::Break(()));
        }
        let line = if args.with_reasons {
            json(&letter).to_string().into_bytes()
        } else if LetterRetry::can_read(&letter) {
            one_line(&letter)
        } else {
            left_out += 1;
            return Ok(ControlFlow::Continue(()));
        };
        if let Err(error) = out.write_all(&line).and_then(|()| out.write_all(b"\n")) {
            stopped = Some(error);
            return Ok(ControlFlow::Break(()));
        }
        written += 1;
        Ok(ControlFlow::Continue(()))
    });
    read.map_err(Stopped::Source)?;
    stopped.map_or(Ok((written, left_out)), |error| Err(Stopped::Io(error)))
}

/// A JSON object has line ends only where blanks may stand.
fn one_line(letter: &DeadLetter) -> Vec<u8> {
    let blank = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
    letter.row.trim_ascii().iter().map(blank).collect()
}
