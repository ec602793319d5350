use std::io::Read;

use standpipe::{
    Schema,
    row::{
        BlockBuilder, CsvEncoder, CsvEntry, CsvRows, JsonEncoder, JsonEntry, JsonLines, Position, Refused,
        RowError, UnknownField,
    },
};

use super::{identity::TAIL_BYTES_MAX, interrupt::Interrupt, plan::Plan};
use crate::{
    args::{Format, UnknownFieldArg},
    exit::{Exit, Failure},
};

/// Reads records of either format and encodes each into a block.
#[allow(clippy::large_enum_variant, reason = "there is one, on the stack of the load")]
pub(crate) enum Parser<R: Read> {
    Csv { rows: CsvRows<R>, encoder: CsvEncoder },
    Json { lines: JsonLines<R>, encoder: JsonEncoder },
}

/// One record that was read.
pub(crate) struct Step {
    pub(crate) end: Position,
    /// It had a line end; the last one of an input may not.
    pub(crate) line_end: bool,
}

impl<R: Read> Parser<R> {
    /// Reads from a position where a record begins; `reader` stands there. At the beginning the header is passed over.
    pub(crate) fn new(plan: &Plan, reader: R, from: Position) -> Result<Self, Failure> {
        match plan.format {
            Format::Csv => {
                let mut rows = CsvRows::resume(reader, plan.csv.clone(), from)?;
                if from == Position::START && plan.has_header {
                    rows.read_header()?;
                }
                let encoder = CsvEncoder::new(&plan.schema, &plan.fields, &plan.csv)?;
                Ok(Parser::Csv { rows, encoder })
            }
            Format::Ndjson => {
                let lines = JsonLines::resume(reader, from).with_line_bytes_max(plan.record_bytes_max);
                Ok(Parser::Json { lines, encoder: json_encoder(&plan.schema, plan.unknown) })
            }
        }
    }

    /// Where the next record begins.
    pub(crate) fn position(&self) -> Position {
        match self {
            Parser::Csv { rows, .. } => rows.position(),
            Parser::Json { lines, .. } => lines.position(),
        }
    }

    /// Reads a record into the block: as a row, or as a rejected one with why. `last` gets its bytes (of a long one the
    /// end), so that the place can be known again. A record that an interruption may have cut is left out.
    #[inline]
    pub(crate) fn next(
        &mut self,
        builder: &mut BlockBuilder,
        last: &mut Vec<u8>,
        interrupt: &Interrupt,
    ) -> Result<Option<Step>, Failure> {
        match self {
            Parser::Csv { rows, encoder } => {
                let Some(entry) = rows.read()? else { return Ok(None) };
                let whole = matches!(&entry, CsvEntry::Record(record) if record.has_line_end());
                if !whole && interrupt.asked() {
                    return Ok(None);
                }
                Ok(Some(match entry {
                    CsvEntry::Record(record) => {
                        encoder.encode(&entry, builder);
                        keep_end(record.raw(), last);
                        Step { end: record.end(), line_end: record.has_line_end() }
                    }
                    CsvEntry::Refused(refused) => refuse(&refused, builder, last)?,
                }))
            }
            Parser::Json { lines, encoder } => {
                let Some(entry) = lines.read()? else { return Ok(None) };
                let whole = matches!(&entry, JsonEntry::Line(line) if line.has_line_end());
                if !whole && interrupt.asked() {
                    return Ok(None);
                }
                Ok(Some(match entry {
                    JsonEntry::Line(line) => {
                        encoder.encode(&entry, builder);
                        keep_end(line.text(), last);
                        Step { end: line.end(), line_end: line.has_line_end() }
                    }
                    JsonEntry::Refused(refused) => refuse(&refused, builder, last)?,
                }))
            }
        }
    }

    /// Whether a line that is here already was not read yet.
    pub(crate) fn has_line_at_hand(&self) -> bool {
        match self {
            Parser::Csv { rows, .. } => rows.has_line_at_hand(),
            Parser::Json { lines, .. } => lines.has_line_at_hand(),
        }
    }

    /// Passes over a record without looking into it; `false` at the end. `last` gets its bytes as in `next`.
    pub(crate) fn skip(&mut self, last: &mut Vec<u8>) -> Result<bool, Failure> {
        match self {
            Parser::Csv { rows, .. } => match rows.read()? {
                None => return Ok(false),
                Some(CsvEntry::Record(record)) => keep_end(record.raw(), last),
                Some(CsvEntry::Refused(_)) => last.clear(),
            },
            Parser::Json { lines, .. } => match lines.read()? {
                None => return Ok(false),
                Some(JsonEntry::Line(line)) => keep_end(line.text(), last),
                Some(JsonEntry::Refused(_)) => last.clear(),
            },
        }
        Ok(true)
    }
}

/// Dead-letters what is no record. A quote that is never closed takes all the rest of the input with it: where that is
/// more than a dead letter holds, the load stops before it instead, so that nothing of the rest is lost.
#[cold]
fn refuse(refused: &Refused<'_>, builder: &mut BlockBuilder, last: &mut Vec<u8>) -> Result<Step, Failure> {
    let length = refused.end.offset - refused.start.offset;
    let is_long = length > BlockBuilder::RAW_BYTES_MAX as u64;
    if is_long && refused.reason.contains("not closed") {
        return Err(Failure::new(
            Exit::DeadLettered,
            format!(
                "a quote is not closed: the record that begins here goes on for {length} bytes, to the end of the input. \
                 What comes before it was loaded, nothing behind it was read; close the quote and run the same command \
                 again"
            ),
        )
        .on_line(refused.start.line));
    }
    let mut reason = refused.reason.clone();
    if reason.contains("the limit is") {
        reason.push_str(" (the limit is an eighth of --memory, at most 16 MiB)");
    }
    last.clear();
    builder.line(refused.start.line);
    builder.reject(RowError::of_row(reason), refused.raw);
    Ok(Step { end: refused.end, line_end: false })
}

#[inline]
fn keep_end(record: &[u8], last: &mut Vec<u8>) {
    let record = record.trim_ascii_end();
    last.clear();
    last.extend_from_slice(&record[record.len().saturating_sub(TAIL_BYTES_MAX)..]);
}

fn json_encoder(schema: &Schema, unknown: UnknownFieldArg) -> JsonEncoder {
    let policy = match unknown {
        UnknownFieldArg::Ignore => UnknownField::Ignore,
        // Columns are added for the fields of the lines that were looked at; a later new one is a bad row, with its name.
        UnknownFieldArg::Reject | UnknownFieldArg::Add => UnknownField::Reject,
    };
    JsonEncoder::new(schema, policy)
}
