use std::collections::HashMap;

use serde_json::value::RawValue;
use standpipe_core::{Column, Error, Schema, Type};

use crate::csv::CsvSettings;
use crate::csv_record::CsvRecord;
use crate::error::RowError;
use crate::json_encode::for_each_field;
use crate::{number, time};

/// Guesses the schema of a file from some of its records, seen in any order and from any places.
///
/// A column of integers is int8; of integers that are written `517.0`, int8 where some are missing (as programs write
/// them that keep missing integers as floats), else float8; of other numbers float8; of true and false bool; of ISO
/// dates and timestamps date, timestamp, timestamptz; of JSON objects and arrays json; all else is text, so that no
/// value loses what its spelling says: `007` and `+5` are text. Every column may be empty.
#[derive(Clone, Debug, Default)]
pub struct Inference {
    columns: Vec<Guess>,
    by_name: HashMap<String, usize>,
    null: Vec<u8>,
    records: u64,
}

#[derive(Clone, Debug)]
struct Guess {
    name: String,
    seen: u16,
    records: u64,
}

const BLANK: u16 = 1;
const BOOL: u16 = 1 << 1;
const INTEGER: u16 = 1 << 2;
const POINT_ZERO: u16 = 1 << 3;
const NUMBER: u16 = 1 << 4;
const DATE: u16 = 1 << 5;
const TIMESTAMP: u16 = 1 << 6;
const TIMESTAMPTZ: u16 = 1 << 7;
const NESTED: u16 = 1 << 8;
const TEXT: u16 = 1 << 9;

impl Inference {
    /// For records with these columns.
    #[must_use]
    pub fn of_csv(header: &[String], settings: &CsvSettings) -> Self {
        let mut inference = Inference { null: settings.null.clone(), ..Inference::default() };
        // A name that is there twice makes the schema invalid, and must not be lost here.
        inference.columns = header.iter().map(|name| Guess::new(name.clone())).collect();
        inference
    }

    /// For lines of JSON, whose columns are the fields that were seen, in the order in which they first were.
    #[must_use]
    pub fn of_json() -> Self {
        Inference::default()
    }

    /// Takes a record into account. One with another number of fields than the header is left out.
    pub fn observe_csv(&mut self, record: &CsvRecord<'_>) {
        if record.len() != self.columns.len() {
            return;
        }
        self.records += 1;
        for (guess, field) in self.columns.iter_mut().zip(record.fields()) {
            guess.records += 1;
            guess.seen |= if *field == *self.null { BLANK } else { class_of_text(field) };
        }
    }

    /// Takes a line into account, if it is a JSON object; tells whether it is.
    pub fn observe_json(&mut self, line: &[u8]) -> bool {
        let mut seen = Vec::new();
        let observed = for_each_field(line, |name, value| {
            if seen.len() > Schema::COLUMNS_MAX {
                return Err(RowError::of_row("more fields than a schema has columns"));
            }
            seen.push((name.to_owned(), class_of_json(value)));
            Ok(())
        });
        if observed.is_err() {
            return false;
        }
        self.records += 1;
        for (name, class) in seen {
            // One column more than a schema may have is enough to say so.
            if self.columns.len() <= Schema::COLUMNS_MAX {
                let guess = self.guess(name);
                guess.records += 1;
                guess.seen |= class;
            }
        }
        true
    }

    /// Takes into account what another has seen of the same file.
    pub fn merge(&mut self, other: &Inference) {
        self.records += other.records;
        for (index, column) in other.columns.iter().enumerate() {
            let guess = match self.columns.get_mut(index) {
                Some(guess) if guess.name == column.name => guess,
                _ => self.guess(column.name.clone()),
            };
            guess.seen |= column.seen;
            guess.records += column.records;
        }
    }

    /// The schema that fits all that was seen.
    ///
    /// # Errors
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid) when there are no columns, or a name is empty or there twice.
    pub fn finish(&self) -> Result<Schema, Error> {
        Schema::new(
            self.columns
                .iter()
                .map(|guess| Column::new(guess.name.clone(), guess.kind(self.records)))
                .collect(),
        )
    }

    fn guess(&mut self, name: String) -> &mut Guess {
        let columns = &mut self.columns;
        let index = *self.by_name.entry(name).or_insert_with_key(|name| {
            // The columns of a CSV header are there without being looked up by name.
            columns.iter().position(|guess| guess.name == *name).unwrap_or_else(|| {
                columns.push(Guess::new(name.clone()));
                columns.len() - 1
            })
        });
        &mut self.columns[index]
    }
}

impl Guess {
    fn new(name: String) -> Self {
        Guess { name, seen: 0, records: 0 }
    }

    fn kind(&self, records: u64) -> Type {
        let blank = self.seen & BLANK != 0 || self.records < records;
        let seen = self.seen & !BLANK;
        match seen {
            0 => Type::Text,
            BOOL => Type::Bool,
            INTEGER => Type::Int8,
            DATE => Type::Date,
            TIMESTAMP => Type::Timestamp,
            TIMESTAMPTZ => Type::Timestamptz,
            NESTED => Type::Json,
            _ if seen & !(INTEGER | POINT_ZERO) == 0 && blank => Type::Int8,
            _ if seen & !(INTEGER | POINT_ZERO | NUMBER) == 0 => Type::Float8,
            _ => Type::Text,
        }
    }
}

fn class_of_text(text: &[u8]) -> u16 {
    match text.first() {
        None => TEXT,
        Some(b'0'..=b'9' | b'-' | b'.') => class_of_digits(text),
        Some(b't' | b'T' | b'f' | b'F')
            if text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"false") =>
        {
            BOOL
        }
        Some(_) => TEXT,
    }
}

fn class_of_digits(text: &[u8]) -> u16 {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        // A leading zero is part of a code, not of a number.
        [b'0', b'0'..=b'9', ..] => class_of_time(text),
        [b'0'..=b'9', ..] if number::parse_int(text).is_ok() => {
            if text.contains(&b'.') {
                POINT_ZERO
            } else {
                INTEGER
            }
        }
        // An integer beyond int8 keeps its digits only as text.
        _ if digits.iter().all(u8::is_ascii_digit) => TEXT,
        [b'0'..=b'9' | b'.', ..] if number::parse_float8(text).is_ok() => NUMBER,
        _ => class_of_time(text),
    }
}

fn class_of_time(text: &[u8]) -> u16 {
    if time::parse_date(text).is_ok() {
        DATE
    } else if time::parse_timestamp(text, false).is_ok() {
        TIMESTAMP
    } else if time::parse_timestamp(text, true).is_ok() {
        TIMESTAMPTZ
    } else {
        TEXT
    }
}

fn class_of_json(value: &RawValue) -> u16 {
    let raw = value.get().as_bytes();
    match raw.first() {
        Some(b'n') => BLANK,
        Some(b't' | b'f') => BOOL,
        Some(b'{' | b'[') => NESTED,
        // What is a string there may be a date, which JSON has no other way to write, but is no number.
        Some(b'"') => {
            class_of_time(raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")).unwrap_or(raw))
        }
        _ => class_of_text(raw),
    }
}
