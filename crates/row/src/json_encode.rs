use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use standpipe_core::{Schema, Type};

use crate::builder::BlockBuilder;
use crate::error::RowError;
use crate::json::JsonEntry;

/// What becomes of a field that the schema has no column for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownField {
    /// The row is rejected.
    #[default]
    Reject,
    /// The field is left out.
    Ignore,
    /// The field is left out, and its name kept for [`JsonEncoder::unknown_fields`].
    Report,
}

/// Writes JSON objects into a builder: each field to the column of its name, whatever their order; a column that has
/// no field is NULL, a field that is there twice is a fault.
///
/// Strings are read as the column's type asks for, as text in CSV is. Numbers go to text columns as they are written,
/// objects and arrays go to text and json columns as JSON text, and a json column takes every value as JSON.
#[derive(Clone, Debug)]
pub struct JsonEncoder {
    columns: HashMap<Box<str>, usize>,
    /// The columns of the fields of the last object, in its order: most objects are like the one before.
    order: Vec<usize>,
    policy: UnknownField,
    unknown: Vec<String>,
}

impl JsonEncoder {
    /// The most names of unknown fields that are kept.
    pub const UNKNOWN_FIELDS_MAX: usize = 1000;

    /// An encoder into blocks of this schema.
    #[must_use]
    pub fn new(schema: &Schema, policy: UnknownField) -> Self {
        let names = schema.columns().iter().map(|column| Box::from(column.name.as_str()));
        JsonEncoder { columns: names.zip(0..).collect(), order: Vec::new(), policy, unknown: Vec::new() }
    }

    /// The unknown fields that were left out, each once, at most [`UNKNOWN_FIELDS_MAX`](Self::UNKNOWN_FIELDS_MAX).
    /// Kept with [`UnknownField::Report`] only.
    #[must_use]
    pub fn unknown_fields(&self) -> &[String] {
        &self.unknown
    }

    /// Puts an entry into the block: as a row, or on record as a rejected one with its text. Tells which.
    pub fn encode(&mut self, entry: &JsonEntry<'_>, builder: &mut BlockBuilder) -> bool {
        let (fault, raw) = match entry {
            JsonEntry::Line(line) => {
                builder.line(line.start().line);
                match self.write(line.text(), builder) {
                    Ok(()) => return true,
                    Err(fault) => (fault, line.text()),
                }
            }
            JsonEntry::Refused(refused) => {
                builder.line(refused.start.line);
                (RowError::of_row(refused.reason.clone()), refused.raw)
            }
        };
        builder.reject(fault, raw);
        false
    }

    /// Writes an object as a row; a bad one leaves no trace.
    ///
    /// # Errors
    /// The first column at fault and why, an unknown field, or where the text is no JSON object.
    pub fn write(&mut self, object: &[u8], builder: &mut BlockBuilder) -> Result<(), RowError> {
        builder.begin_placed_row();
        let mut place = 0;
        let read = for_each_field(object, |name, value| {
            if let Some(column) = self.column(place, name, builder.schema())? {
                builder.column(column);
                write_raw(value, builder);
            }
            place += 1;
            Ok(())
        });
        match read {
            Ok(()) => builder.end_row(),
            Err(fault) => {
                builder.drop_row();
                Err(fault)
            }
        }
    }

    #[inline]
    fn column(&mut self, place: usize, name: &str, schema: &Schema) -> Result<Option<usize>, RowError> {
        if let Some(&column) = self.order.get(place)
            && schema.columns().get(column).is_some_and(|column| column.name == name)
        {
            return Ok(Some(column));
        }
        let Some(&column) = self.columns.get(name) else {
            return self.unknown(name).map(|()| None);
        };
        if place >= self.order.len() && place < Schema::COLUMNS_MAX {
            self.order.resize(place + 1, usize::MAX);
        }
        if let Some(expected) = self.order.get_mut(place) {
            *expected = column;
        }
        Ok(Some(column))
    }

    #[cold]
    fn unknown(&mut self, name: &str) -> Result<(), RowError> {
        match self.policy {
            UnknownField::Reject => Err(RowError {
                column: Some(name.chars().take(80).collect()),
                reason: "the table has no such column".to_owned(),
            }),
            UnknownField::Ignore => Ok(()),
            UnknownField::Report => {
                if self.unknown.len() < Self::UNKNOWN_FIELDS_MAX
                    && !self.unknown.iter().any(|known| known == name)
                {
                    self.unknown.push(name.to_owned());
                }
                Ok(())
            }
        }
    }
}

/// Writes a JSON value, which is known to be valid, to the next column.
fn write_raw(value: &RawValue, builder: &mut BlockBuilder) {
    let raw = value.get();
    let Some(kind) = builder.kind() else { return };
    match (raw.as_bytes(), kind) {
        ([b'n', ..], _) => builder.null(),
        (_, Type::Json) | ([b'{' | b'[', ..], Type::Text) => builder.put_slice(raw.as_bytes()),
        ([b'{' | b'[', ..], _) => builder.refuse_shown(crate::write::kind_name(kind), raw.as_bytes()),
        ([b'"', plain @ .., b'"'], _) if memchr::memchr(b'\\', plain).is_none() => builder.parse(plain),
        ([b'"', ..], _) => match serde_json::from_str::<String>(raw) {
            Ok(text) => builder.parse(text.as_bytes()),
            Err(_) => builder.refuse_shown("a string with valid escapes", raw.as_bytes()),
        },
        (scalar, _) => builder.parse(scalar),
    };
}

/// Calls `each` with every field of a JSON object, in its order.
pub(crate) fn for_each_field(
    object: &[u8],
    each: impl FnMut(&str, &RawValue) -> Result<(), RowError>,
) -> Result<(), RowError> {
    let mut fault = None;
    let mut json = serde_json::Deserializer::from_slice(object);
    let read = json.deserialize_map(Object { each, fault: &mut fault }).and_then(|()| json.end());
    match (read, fault) {
        (_, Some(fault)) => Err(fault),
        (Ok(()), None) => Ok(()),
        (Err(error), None) => Err(no_object(&error)),
    }
}

#[cold]
fn no_object(error: &serde_json::Error) -> RowError {
    let told = error.to_string();
    // A row is one line; the line that counts is the file's.
    let what = told.split(" at line ").next().unwrap_or_default();
    RowError::of_row(format!("not a JSON object: {what} (character {} of the line)", error.column()))
}

struct Object<'f, F> {
    each: F,
    fault: &'f mut Option<RowError>,
}

impl<'de, F: FnMut(&str, &RawValue) -> Result<(), RowError>> Visitor<'de> for Object<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let value: &'de RawValue = map.next_value()?;
            if let Err(fault) = (self.each)(&name, value) {
                *self.fault = Some(fault);
                return Err(A::Error::custom("a field that is refused"));
            }
        }
        Ok(())
    }
}

/// A field's name, borrowed from the line unless it has escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
