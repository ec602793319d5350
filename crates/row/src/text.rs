//! Values as text, as CSV brings them.

use serde::de::IgnoredAny;
use standpipe_core::Type;

use crate::builder::{BlockBuilder, NonFinite};
use crate::error::Expected;
use crate::uuid::{hex_pair, parse_uuid};
use crate::{number, numeric, time};

pub(crate) const NO_NUL: Expected = "text without NUL (byte 0)";
const UTF8: Expected = "UTF-8";
const BYTEA: Expected = "bytes as \\x and hexadecimal digits";
const JSON: Expected = "valid JSON";

/// Text becomes a value of the column's type, or a fault of the row; it is never cut or guessed at.
impl BlockBuilder {
    /// Writes `text` to the next column, read as the column's type asks for:
    ///
    /// | type | text |
    /// |---|---|
    /// | bool | true, t, yes, 1, false, f, no, 0 in any case |
    /// | int2, int4, int8 | `-?\d+`, and a fraction of zeros |
    /// | float4, float8 | decimal or with an exponent; NaN and infinities by [`set_non_finite`](Self::set_non_finite) |
    /// | numeric | the same, exactly: every digit is kept, zeros at the end of a fraction too |
    /// | text | UTF-8 without NUL |
    /// | bytea | `\x` and hexadecimal digits |
    /// | date, time | `YYYY-MM-DD`, `HH:MM:SS[.ffffff]` |
    /// | timestamp, timestamptz | ISO 8601 without, with a zone |
    /// | uuid | 32 hexadecimal digits, with hyphens or without |
    /// | json | valid JSON |
    #[inline]
    pub fn parse(&mut self, text: &[u8]) -> &mut Self {
        // The two that most fields are; the others cost a call.
        match self.kind() {
            Some(Type::Int8) => match number::parse_int(text) {
                Ok(value) => self.put8(value.to_be_bytes()),
                Err(expected) => return self.refuse_shown(expected, text),
            },
            Some(Type::Text) => {
                if let Some(expected) = text_fault(text) {
                    return self.refuse_shown(expected, text);
                }
                return self.put_slice(text);
            }
            Some(kind) => return self.parse_other(kind, text),
            None => return self.too_many(),
        }
        self
    }

    fn parse_other(&mut self, kind: Type, text: &[u8]) -> &mut Self {
        match self.parsed(kind, text) {
            Ok(()) => self,
            Err(expected) => self.refuse_shown(expected, text),
        }
    }

    fn parsed(&mut self, kind: Type, text: &[u8]) -> Result<(), Expected> {
        match kind {
            Type::Bool => self.put1([u8::from(number::parse_bool(text)?)]),
            Type::Int2 => self.put2(narrow::<i16>(text, number::INT2)?.to_be_bytes()),
            Type::Int4 => self.put4(narrow::<i32>(text, number::INT4)?.to_be_bytes()),
            Type::Float4 => {
                let value = number::parse_float4(text)?;
                self.check_finite(value.is_finite())?;
                self.put4(value.to_be_bytes());
            }
            Type::Float8 => {
                let value = number::parse_float8(text)?;
                self.check_finite(value.is_finite())?;
                self.put8(value.to_be_bytes());
            }
            Type::Date => self.put4(time::parse_date(text)?.to_be_bytes()),
            Type::Time => self.put8(time::parse_time(text)?.to_be_bytes()),
            Type::Timestamp => self.put8(time::parse_timestamp(text, false)?.to_be_bytes()),
            Type::Timestamptz => self.put8(time::parse_timestamp(text, true)?.to_be_bytes()),
            Type::Uuid => self.put16(parse_uuid(text)?),
            Type::Bytea => return self.parse_bytea(text),
            Type::Numeric => {
                self.check_finite(!numeric::is_special(text))?;
                return self.put_with(|out| numeric::parse_numeric(text, out));
            }
            Type::Json if is_json(text) => {
                self.put_slice(text);
            }
            Type::Json => return Err(JSON),
            _ => return Err("a type that text can be read as"),
        }
        Ok(())
    }

    fn check_finite(&self, finite: bool) -> Result<(), Expected> {
        if finite || self.non_finite == NonFinite::Allow { Ok(()) } else { Err(number::FINITE) }
    }

    fn parse_bytea(&mut self, text: &[u8]) -> Result<(), Expected> {
        let Some((pairs, [])) = text.strip_prefix(b"\\x").map(<[u8]>::as_chunks::<2>) else {
            return Err(BYTEA);
        };
        self.put_with(|out| {
            for [high, low] in pairs {
                out.push(hex_pair(*high, *low).ok_or(BYTEA)?);
            }
            Ok(())
        })
    }
}

fn narrow<T: TryFrom<i64>>(text: &[u8], expected: Expected) -> Result<T, Expected> {
    let value =
        number::parse_int(text).map_err(|fault| if fault == number::INT8 { expected } else { fault })?;
    T::try_from(value).map_err(|_| expected)
}

/// Why the bytes cannot stand in a text column, if they cannot.
#[inline]
fn text_fault(text: &[u8]) -> Option<Expected> {
    // Short plain ASCII is what most values are, and needs no other look.
    if text.len() <= 32 && text.iter().fold(true, |plain, byte| plain & (byte.wrapping_sub(1) < 0x7f)) {
        return None;
    }
    text_fault_slowly(text)
}

fn text_fault_slowly(text: &[u8]) -> Option<Expected> {
    if has_nul(text) {
        Some(NO_NUL)
    } else if std::str::from_utf8(text).is_err() {
        Some(UTF8)
    } else {
        None
    }
}

pub(crate) fn has_nul(text: &[u8]) -> bool {
    memchr::memchr(0, text).is_some()
}

pub(crate) fn is_json(text: &[u8]) -> bool {
    // serde_json skips invalid UTF-8 inside of strings that nobody asks for.
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}
