use std::io::{self, Read};

use standpipe::row::Position;

use super::{
    identity::{FilePosition, tail_of},
    input::InputFile,
};
use crate::exit::Failure;

/// The way out that every refusal to go on names.
pub(crate) const ADVICE: &str = "To load the file again, give it a stream id of its own (--stream)";

/// A reader that stands at `from`, after checking that what lies before it is what was loaded.
pub(crate) fn resume(
    file: &InputFile,
    from: u64,
    state: &FilePosition,
) -> Result<(Box<dyn Read + Send>, Position), Failure> {
    let failed = |error: io::Error| unreadable(from, &error);
    if from == 0 {
        return Ok((file.read().map_err(failed)?, Position::START));
    }
    let mut reader: Box<dyn Read + Send> = if file.is_seekable() {
        Box::new(file.open_at(from).map_err(failed)?)
    } else {
        file.read().map_err(failed)?
    };
    let is_same = if file.is_seekable() {
        is_same_end(file, from, state)?
    } else {
        let reach = reach(from, state);
        skip(&mut *reader, from - reach).map_err(failed)?;
        ends_like(&mut reader, reach, state).map_err(failed)?
    };
    if !is_same {
        return Err(Failure::refused(format!(
            "wrong source: the record before byte {from} (line {}) is not the one that was loaded; the file was \
             replaced or edited. {ADVICE}",
            state.line
        )));
    }
    if state.open_end && reader.read(&mut [0]).map_err(failed)? > 0 {
        return Err(Failure::refused(format!(
            "the file has grown behind byte {from}, but its last record had no line end when it was loaded: that \
             record may have been completed since. {ADVICE}"
        )));
    }
    Ok((reader, Position { offset: from, line: state.line }))
}

/// Whether what lies before `from` ends with the record that was loaded last.
pub(crate) fn is_same_end(file: &InputFile, from: u64, state: &FilePosition) -> Result<bool, Failure> {
    let reach = reach(from, state);
    file.open_at(from - reach)
        .and_then(|mut part| ends_like(&mut part, reach, state))
        .map_err(|error| unreadable(from, &error))
}

/// The last record and its line end, which is at most two bytes.
fn reach(from: u64, state: &FilePosition) -> u64 {
    (state.tail.as_ref().map_or(0, |(length, _)| u64::from(*length)) + 2).min(from)
}

fn ends_like(part: &mut impl Read, reach: u64, state: &FilePosition) -> io::Result<bool> {
    let mut before = Vec::new();
    part.take(reach).read_to_end(&mut before)?;
    let Some((length, hash)) = &state.tail else { return Ok(true) };
    let before = before.trim_ascii_end();
    let record = &before[before.len().saturating_sub(*length as usize)..];
    Ok(tail_of(record) == (*length, hash.clone()))
}

fn unreadable(from: u64, error: &io::Error) -> Failure {
    Failure::of_reading(format!("it cannot be read up to byte {from}, where the load was: {error}"), error)
}

fn skip(reader: &mut dyn Read, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.take(bytes), &mut io::sink())?;
    if skipped < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
