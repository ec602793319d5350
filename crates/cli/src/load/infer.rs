use std::io::{Cursor, Read};

use standpipe::{
    Schema, Type,
    core::TableShape,
    row::{CsvEntry, CsvRows, CsvSettings, Inference, JsonEntry, JsonLines, Position},
};

use super::plan::Origin;
use crate::{args::Format, exit::Failure};

/// Bytes at the beginning of an input that are looked at.
const HEAD_BYTES: u64 = 1 << 20;
/// Places through a plain file that are looked at besides, and bytes at each.
const SPOTS: u64 = 64;
const SPOT_BYTES: u64 = 16 << 10;

/// What the input's head (and spots) say of its columns.
pub(crate) struct Found {
    /// The fields in order: the header's, or those of the JSON lines that were seen.
    pub(crate) fields: Vec<String>,
    /// The types, where they were looked for.
    pub(crate) inferred: Option<Schema>,
}

impl Found {
    pub(crate) fn kind_of(&self, field: &str) -> Option<Type> {
        let schema = self.inferred.as_ref()?;
        schema.index_of(field).map(|index| schema.columns()[index].kind)
    }
}

/// Looks at an input without using it up.
pub(crate) fn look(
    origin: &mut Origin,
    format: Format,
    csv: &CsvSettings,
    has_header: bool,
    wants_types: bool,
    shape: Option<&TableShape>,
) -> Result<Found, Failure> {
    let (head, more) = match origin {
        Origin::File(file) => file.head(HEAD_BYTES)?,
        Origin::Peeked(stdin) | Origin::Stdin { stdin, .. } => {
            let head = stdin.peek(HEAD_BYTES as usize, wants_types)?;
            let more = head.len() as u64 >= HEAD_BYTES;
            (head, more)
        }
    };
    check_text(&head)?;
    let found = match format {
        Format::Csv => look_at_csv(origin, &head, !more, csv, has_header, wants_types, shape)?,
        Format::Ndjson => look_at_json(origin, &head, !more)?,
    };
    if found.fields.is_empty() && shape.is_none() {
        return Err(Failure::usage(if head.is_empty() {
            "the input is empty: there is nothing to make a table from"
        } else {
            "the input has no record to make a table from; is --format right?"
        }));
    }
    if found.fields.is_empty() && format == Format::Csv && has_header {
        return Err(Failure::usage(
            "the input is empty: a first line with the names of the columns was expected",
        ));
    }
    Ok(found)
}

/// Refuses what is plainly no text. A bad byte further on is a bad row, not a bad file.
fn check_text(head: &[u8]) -> Result<(), Failure> {
    let first = &head[..head.len().min(4096)];
    if first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") {
        let advice = "this is UTF-16; convert it first, for example with iconv -f utf-16 -t utf-8";
        return Err(Failure::usage(advice).on_line(1));
    }
    let odd = first.iter().filter(|byte| **byte < 9 || (14..32).contains(*byte)).count();
    if odd * 10 > first.len() {
        return Err(Failure::usage("this is no text but binary data; is it the right file?").on_line(1));
    }
    Ok(())
}

fn look_at_csv(
    origin: &Origin,
    head: &[u8],
    whole: bool,
    csv: &CsvSettings,
    has_header: bool,
    wants_types: bool,
    shape: Option<&TableShape>,
) -> Result<Found, Failure> {
    let mut rows = CsvRows::new(Cursor::new(head), csv.clone())?;
    let fields = if has_header {
        rows.read_header()?.unwrap_or_default()
    } else {
        let first = match CsvRows::new(Cursor::new(head), csv.clone())?.read()? {
            Some(CsvEntry::Record(record)) => record.fields().count(),
            _ => 0,
        };
        by_place(first, shape)?
    };
    for (index, field) in fields.iter().enumerate() {
        if field.is_empty() {
            return Err(Failure::usage(format!(
                "column {} has no name; name it, or say --no-header if the first line is a row already",
                index + 1
            ))
            .on_line(1));
        }
        // Databases compare the names of columns without their case.
        if let Some(first) = fields[..index].iter().position(|earlier| earlier.eq_ignore_ascii_case(field)) {
            return Err(Failure::usage(format!(
                "column {field:?} is there twice, as column {} and column {}; rename one of them",
                first + 1,
                index + 1
            ))
            .on_line(1));
        }
    }
    if !wants_types || fields.is_empty() {
        return Ok(Found { fields, inferred: None });
    }
    let mut inference = Inference::of_csv(&fields, csv);
    observe_csv(&mut rows, &mut inference, whole)?;
    if let (Origin::File(file), false) = (origin, whole)
        && file.is_seekable()
    {
        for spot in spots(file.size_bytes) {
            let failed = |error: std::io::Error| Failure::of_reading(error.to_string(), &error);
            let reader = file.open_at(spot).map_err(failed)?.take(SPOT_BYTES);
            let mut rows = CsvRows::resume(reader, csv.clone(), Position { offset: spot, line: 0 })?;
            // A spot is anywhere in a line, and its last record may be cut: both are left out.
            rows.skip_line()?;
            observe_csv(&mut rows, &mut inference, false)?;
        }
    }
    Ok(Found { inferred: Some(inference.finish()?), fields })
}

/// Observes every record, but the last one where the input goes on behind it.
fn observe_csv<R: Read>(
    rows: &mut CsvRows<R>,
    inference: &mut Inference,
    whole: bool,
) -> Result<(), Failure> {
    while let Some(entry) = rows.read()? {
        if let CsvEntry::Record(record) = entry
            && (whole || record.has_line_end())
        {
            inference.observe_csv(&record);
        }
    }
    Ok(())
}

fn spots(size_bytes: u64) -> impl Iterator<Item = u64> {
    let behind_head = size_bytes.saturating_sub(HEAD_BYTES);
    let step = (behind_head / SPOTS).max(SPOT_BYTES);
    (0..SPOTS).map(move |spot| HEAD_BYTES + spot * step).take_while(move |spot| *spot < size_bytes)
}

/// The names of columns that have none: the table's in their order, or c1, c2, ...
fn by_place(count: usize, shape: Option<&TableShape>) -> Result<Vec<String>, Failure> {
    let Some(shape) = shape else { return Ok((1..=count).map(|place| format!("c{place}")).collect()) };
    let given: Vec<_> = shape.columns.iter().filter(|column| !column.generated).collect();
    if count > given.len() {
        return Err(Failure::usage(format!(
            "the first record has {count} fields, table {} only {} columns that can be given",
            shape.table,
            given.len()
        ))
        .on_line(1));
    }
    Ok(given[..count].iter().map(|column| column.name.clone()).collect())
}

fn look_at_json(origin: &Origin, head: &[u8], whole: bool) -> Result<Found, Failure> {
    let mut inference = Inference::of_json();
    observe_json(JsonLines::new(Cursor::new(head)), &mut inference, whole)?;
    if let (Origin::File(file), false) = (origin, whole)
        && file.is_seekable()
    {
        for spot in spots(file.size_bytes) {
            let reader =
                file.open_at(spot).map_err(|error| Failure::usage(error.to_string()))?.take(SPOT_BYTES);
            let mut lines = JsonLines::resume(reader, Position { offset: spot, line: 0 });
            lines.skip_line()?;
            observe_json(lines, &mut inference, false)?;
        }
    }
    let inferred = inference.finish().ok();
    let names = |schema: &Schema| schema.columns().iter().map(|column| column.name.clone()).collect();
    let fields = inferred.as_ref().map(names).unwrap_or_default();
    Ok(Found { fields, inferred })
}

fn observe_json<R: Read>(
    mut lines: JsonLines<R>,
    inference: &mut Inference,
    whole: bool,
) -> Result<(), Failure> {
    while let Some(entry) = lines.read()? {
        if let JsonEntry::Line(line) = entry
            && (whole || line.has_line_end())
        {
            inference.observe_json(line.text());
        }
    }
    Ok(())
}
