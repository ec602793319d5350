//! The typed writers of a builder.

use std::convert::Infallible;

use standpipe_core::Type;

use crate::builder::{BlockBuilder, NonFinite};
use crate::error::{Expected, shown};
use crate::numeric::{self, Numeric};
use crate::{number, text, time};

macro_rules! fixed {
    ($($name:ident $length:literal),*) => {
        $(
            #[inline]
            pub(crate) fn $name(&mut self, value: [u8; $length]) {
                let mut field = [0; 4 + $length];
                field[..4].copy_from_slice(&($length as i32).to_be_bytes());
                field[4..].copy_from_slice(&value);
                self.tuples.extend_from_slice(&field);
                self.next += 1;
            }
        )*
    };
}

/// Writers. Each writes one value to the next column; a value that the column cannot hold is a fault of the row.
impl BlockBuilder {
    fixed!(put1 1, put2 2, put4 4, put8 8, put16 16);

    /// NULL.
    #[inline]
    pub fn null(&mut self) -> &mut Self {
        match self.columns.get(self.next) {
            Some(column) if self.next < self.stop && column.nullable => {
                self.tuples.extend_from_slice(&(-1_i32).to_be_bytes());
                self.next += 1;
                self
            }
            Some(_) if self.next < self.stop => self.refuse("a value (the column must not be NULL)", "NULL"),
            _ => self.too_many(),
        }
    }

    /// For a bool column.
    #[inline]
    pub fn bool(&mut self, value: bool) -> &mut Self {
        match self.kind() {
            Some(Type::Bool) => self.put1([u8::from(value)]),
            Some(kind) => return self.refuse(kind_name(kind), value),
            None => return self.too_many(),
        }
        self
    }

    /// For an integer column that is wide enough, a numeric column, or a float column that can hold the number exactly.
    #[inline]
    pub fn int(&mut self, value: i64) -> &mut Self {
        match self.kind() {
            Some(Type::Int8) => self.put8(value.to_be_bytes()),
            Some(Type::Int4) => match i32::try_from(value) {
                Ok(value) => self.put4(value.to_be_bytes()),
                Err(_) => return self.refuse(number::INT4, value),
            },
            Some(Type::Int2) => match i16::try_from(value) {
                Ok(value) => self.put2(value.to_be_bytes()),
                Err(_) => return self.refuse(number::INT2, value),
            },
            Some(Type::Float8) if value.unsigned_abs() <= 1 << 53 => self.put8((value as f64).to_be_bytes()),
            Some(Type::Float4) if value.unsigned_abs() <= 1 << 24 => self.put4((value as f32).to_be_bytes()),
            Some(Type::Float8 | Type::Float4) => {
                return self.refuse("an integer that the float column holds exactly", value);
            }
            Some(Type::Numeric) => return self.put_number(|out| numeric::numeric_from_int(value, out)),
            Some(kind) => return self.refuse(kind_name(kind), value),
            None => return self.too_many(),
        }
        self
    }

    /// For a float column; a float4 column rounds to its precision but takes no number beyond its range. A numeric
    /// column gets the shortest decimal number that stands for the float. NaN and the infinities as [`set_non_finite`](Self::set_non_finite) says.
    #[inline]
    pub fn float(&mut self, value: f64) -> &mut Self {
        if !value.is_finite() && self.non_finite == NonFinite::Reject {
            return self.refuse(number::FINITE, value);
        }
        match self.kind() {
            Some(Type::Float8) => self.put8(value.to_be_bytes()),
            Some(Type::Float4) if (value as f32).is_finite() || !value.is_finite() => {
                self.put4((value as f32).to_be_bytes());
            }
            Some(Type::Float4) => return self.refuse(number::FLOAT4, value),
            Some(Type::Numeric) => return self.put_number(|out| numeric::numeric_from_float(value, out)),
            Some(kind) => return self.refuse(kind_name(kind), value),
            None => return self.too_many(),
        }
        self
    }

    /// For a numeric column: a number as another block has it. One that is written as text is for [`parse`](Self::parse).
    #[inline]
    pub fn numeric(&mut self, value: Numeric<'_>) -> &mut Self {
        if !value.is_finite() && self.non_finite == NonFinite::Reject {
            return self.refuse(number::FINITE, value);
        }
        match self.kind() {
            Some(Type::Numeric) => self.put_slice(value.bytes()),
            Some(kind) => self.refuse_shown(kind_name(kind), value.to_string().as_bytes()),
            None => self.too_many(),
        }
    }

    /// For a text column. Without NUL, which not every target can hold.
    #[inline]
    pub fn text(&mut self, value: &str) -> &mut Self {
        match self.kind() {
            Some(Type::Text) if text::has_nul(value.as_bytes()) => {
                self.refuse_shown(text::NO_NUL, value.as_bytes())
            }
            Some(Type::Text) => self.put_slice(value.as_bytes()),
            Some(kind) => self.refuse_shown(kind_name(kind), value.as_bytes()),
            None => self.too_many(),
        }
    }

    /// For a bytea column.
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        match self.kind() {
            Some(Type::Bytea) => self.put_slice(value),
            Some(kind) => self.refuse_shown(kind_name(kind), value),
            None => self.too_many(),
        }
    }

    /// For a date column: days since 2000-01-01, in the years 1 to 9999.
    #[inline]
    pub fn date(&mut self, days: i32) -> &mut Self {
        match self.kind() {
            Some(Type::Date) if time::DAYS.contains(&days) => self.put4(days.to_be_bytes()),
            Some(Type::Date) => return self.refuse(time::YEARS, days),
            Some(kind) => return self.refuse(kind_name(kind), days),
            None => return self.too_many(),
        }
        self
    }

    /// For a time column: microseconds since midnight, less than a day.
    #[inline]
    pub fn time(&mut self, us: i64) -> &mut Self {
        match self.kind() {
            Some(Type::Time) if (0..time::DAY_US).contains(&us) => self.put8(us.to_be_bytes()),
            Some(Type::Time) => return self.refuse("microseconds of one day", us),
            Some(kind) => return self.refuse(kind_name(kind), us),
            None => return self.too_many(),
        }
        self
    }

    /// For a timestamp or timestamptz column: microseconds since 2000-01-01 00:00:00 (UTC), in the years 1 to 9999.
    /// [`us_from_unix`](crate::us_from_unix) converts from the Unix epoch.
    #[inline]
    pub fn timestamp(&mut self, us: i64) -> &mut Self {
        match self.kind() {
            Some(Type::Timestamp | Type::Timestamptz) if time::INSTANTS_US.contains(&us) => {
                self.put8(us.to_be_bytes());
            }
            Some(Type::Timestamp | Type::Timestamptz) => return self.refuse(time::YEARS, us),
            Some(kind) => return self.refuse(kind_name(kind), us),
            None => return self.too_many(),
        }
        self
    }

    /// For a uuid column.
    #[inline]
    pub fn uuid(&mut self, value: [u8; 16]) -> &mut Self {
        match self.kind() {
            Some(Type::Uuid) => self.put16(value),
            Some(kind) => return self.refuse_shown(kind_name(kind), &value),
            None => return self.too_many(),
        }
        self
    }

    /// For a json column: valid JSON, kept as it is written.
    pub fn json(&mut self, value: &str) -> &mut Self {
        match self.kind() {
            Some(Type::Json) if text::is_json(value.as_bytes()) => self.put_slice(value.as_bytes()),
            Some(kind) => self.refuse_shown(kind_name(kind), value.as_bytes()),
            None => self.too_many(),
        }
    }

    /// The type of the column that the next value is for; `None` behind the last.
    #[inline]
    pub(crate) fn kind(&self) -> Option<Type> {
        if self.next < self.stop { self.columns.get(self.next).map(|column| column.kind) } else { None }
    }

    #[inline]
    pub(crate) fn put_slice(&mut self, value: &[u8]) -> &mut Self {
        if value.len() + self.tuples.len() - self.row_start > self.row_bytes_max {
            self.fail_at(
                self.next,
                format!("{} bytes, with which the row is longer than {}", value.len(), self.row_bytes_max),
            );
            return self;
        }
        // The row's limit is below i32::MAX.
        self.tuples.extend_from_slice(&(value.len() as i32).to_be_bytes());
        self.tuples.extend_from_slice(value);
        self.next += 1;
        self
    }

    /// Writes a value of unknown length through `write`, which appends it to the bytes it is given.
    pub(crate) fn put_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.tuples.len();
        self.tuples.extend_from_slice(&[0; 4]);
        write(&mut self.tuples)?;
        let length = self.tuples.len() - start - 4;
        if self.tuples.len() - self.row_start > self.row_bytes_max {
            self.fail_at(
                self.next,
                format!("{length} bytes, with which the row is longer than {}", self.row_bytes_max),
            );
        }
        // The row's limit is below i32::MAX; what is beyond it has just failed.
        self.tuples[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
        self.next += 1;
        Ok(())
    }

    /// Writes a numeric through `write`.
    pub(crate) fn put_number(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let Ok(()) = self.put_with(|out| {
            write(out);
            Ok::<(), Infallible>(())
        });
        self
    }

    #[cold]
    pub(crate) fn refuse(&mut self, expected: Expected, found: impl std::fmt::Display) -> &mut Self {
        self.fail_at(self.next, format!("expected {expected}, found {found}"));
        self
    }

    #[cold]
    pub(crate) fn refuse_shown(&mut self, expected: Expected, found: &[u8]) -> &mut Self {
        self.fail_at(self.next, format!("expected {expected}, found {}", shown(found)));
        self
    }

    #[cold]
    pub(crate) fn too_many(&mut self) -> &mut Self {
        self.fail_row(format!("more values than the {} columns, or none begun", self.columns.len()));
        self
    }
}

/// What a column of the type holds, for messages.
pub(crate) const fn kind_name(kind: Type) -> Expected {
    match kind {
        Type::Bool => "true or false",
        Type::Int2 => number::INT2,
        Type::Int4 => number::INT4,
        Type::Int8 => "an integer",
        Type::Float4 | Type::Float8 | Type::Numeric => "a number",
        Type::Text => "text",
        Type::Bytea => "bytes",
        Type::Date => time::DATE,
        Type::Time => time::TIME,
        Type::Timestamp => time::TIMESTAMP,
        Type::Timestamptz => time::TIMESTAMPTZ,
        Type::Uuid => "a UUID",
        Type::Json => "JSON",
        _ => "a value of another type",
    }
}
