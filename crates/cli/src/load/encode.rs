use std::io::Read;

use standpipe::{
    Schema,
    row::{
        BlockBuilder, CsvEncoder, CsvEntry, CsvRows, JsonEncoder, JsonEntry, JsonLines, Position, UnknownField,
    },
};

use super::{
    identity::TAIL_BYTES_MAX,
    interrupt::Interrupt,
    plan::{Plan, RECORD_BYTES_MAX},
};
use crate::{
    args::{Format, UnknownFieldArg},
    exit::Failure,
};

/// Reads records of either format and encodes each into a block.
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
                let lines = JsonLines::resume(reader, from).with_line_bytes_max(RECORD_BYTES_MAX);
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
                last.clear();
                encoder.encode(&entry, builder);
                Ok(Some(match entry {
                    CsvEntry::Record(record) => {
                        keep_end(record.raw(), last);
                        Step { end: record.end(), line_end: record.has_line_end() }
                    }
                    CsvEntry::Refused(refused) => Step { end: refused.end, line_end: false },
                }))
            }
            Parser::Json { lines, encoder } => {
                let Some(entry) = lines.read()? else { return Ok(None) };
                let whole = matches!(&entry, JsonEntry::Line(line) if line.has_line_end());
                if !whole && interrupt.asked() {
                    return Ok(None);
                }
                last.clear();
                encoder.encode(&entry, builder);
                Ok(Some(match entry {
                    JsonEntry::Line(line) => {
                        keep_end(line.text(), last);
                        Step { end: line.end(), line_end: line.has_line_end() }
                    }
                    JsonEntry::Refused(refused) => Step { end: refused.end, line_end: false },
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

    /// Passes over a record without looking into it; `false` at the end.
    pub(crate) fn skip(&mut self) -> Result<bool, Failure> {
        Ok(match self {
            Parser::Csv { rows, .. } => rows.read()?.is_some(),
            Parser::Json { lines, .. } => lines.read()?.is_some(),
        })
    }
}

#[inline]
fn keep_end(record: &[u8], last: &mut Vec<u8>) {
    let record = record.trim_ascii_end();
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
