//! The way of one field into its column.

use standpipe_core::Type;
use standpipe_row::{
    Numeric, Value, numeric_from_float, numeric_from_int, parse_numeric, render_numeric, render_uuid,
};

use crate::{
    clock::{self, DAY_US},
    json_array,
    kind::PgType,
    limit::Limit,
};

/// Turns a value's bytes into those of another type, or says what would be lost.
pub(crate) type Change = fn(&[u8], &mut Vec<u8>) -> Result<(), String>;

/// How the values of a block's column get into the table's.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// The type behind `change`: what the bytes are that the server gets, or that are written as text.
    pub(crate) to: Type,
    pub(crate) change: Option<Change>,
    /// The server's binary form begins with a version.
    pub(crate) is_jsonb: bool,
    /// An array of JSON: its elements stay as they are written.
    pub(crate) holds_json: bool,
    /// The server reads it from text.
    pub(crate) read: Option<Reading>,
    /// What the server would cut or round while it reads the text.
    pub(crate) limit: Option<Limit>,
    /// Why NULL is refused, if it is.
    pub(crate) null: Option<&'static str>,
    /// A value that is no multiple of so many microseconds would be rounded.
    pub(crate) unit_us: Option<i64>,
    /// A text that the server reads as a time with more digits of a second would be rounded.
    pub(crate) digits_max: Option<u32>,
    /// A number with more digits behind the point, other than zeros, would be rounded.
    pub(crate) scale: Option<i32>,
}

/// What the server reads as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Plain,
    /// JSON arrays are turned into the server's own form; what is in that form goes as it is.
    Array,
}

impl Way {
    /// Bytes go as they are.
    pub(crate) fn is_untouched(&self) -> bool {
        self.change.is_none()
            && !self.is_jsonb
            && self.read.is_none()
            && self.null.is_none()
            && self.unit_us.is_none()
            && self.scale.is_none()
    }

    /// The way of a block's type into a column's, `None` where there is none.
    pub(crate) fn find(from: Type, column: &PgType) -> Option<Self> {
        let same = Way {
            to: from,
            change: None,
            is_jsonb: false,
            holds_json: column
                .element
                .is_some_and(|(oid, _)| matches!(oid, crate::kind::oid::JSON | crate::kind::oid::JSONB)),
            read: None,
            limit: None,
            null: None,
            unit_us: None,
            digits_max: None,
            scale: column.scale(),
        };
        let fitting = column.kind();
        if from == fitting && from != Type::Text {
            return Some(Way {
                is_jsonb: column.oid == crate::kind::oid::JSONB,
                unit_us: column.second_digits().map(|digits| 10_i64.pow(6 - digits)),
                ..same
            });
        }
        if column.class == crate::kind::Class::Array {
            let readable = matches!(from, Type::Text | Type::Json);
            return readable.then_some(Way { read: Some(Reading::Array), ..same });
        }
        if column.is_text() {
            // Every type has a text of its own.
            return Some(match from {
                Type::Text | Type::Json => same,
                _ => Way { to: Type::Text, change: Some(change_to_text(from)), ..same },
            });
        }
        if from == Type::Text {
            if fitting == Type::Numeric {
                let read: Change = |bytes, out| parse_numeric(bytes, out).map_err(str::to_owned);
                return Some(Way { to: Type::Numeric, change: Some(read), ..same });
            }
            return Some(Way { read: Some(Reading::Plain), digits_max: column.clock_digits(), ..same });
        }
        let change = change(from, fitting)?;
        Some(Way {
            to: fitting,
            change: Some(change),
            unit_us: column.second_digits().map(|digits| 10_i64.pow(6 - digits)),
            ..same
        })
    }

    /// Appends the value as the server's binary form.
    pub(crate) fn binary(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        if self.is_jsonb {
            out.push(1);
        }
        let start = out.len();
        match self.change {
            Some(change) => change(bytes, out)?,
            None => out.extend_from_slice(bytes),
        }
        if let Some(limit) = self.limit.filter(|limit| limit.is_for_binary()) {
            limit.check(&out[start..])?;
        }
        self.check_rounding(&out[start..])
    }

    /// Appends the value as text that the server reads, without quotes.
    pub(crate) fn text(&self, bytes: &[u8], scratch: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), String> {
        let bytes = match self.change {
            Some(change) => {
                scratch.clear();
                change(bytes, scratch)?;
                &scratch[..]
            }
            None => bytes,
        };
        self.check_rounding(bytes)?;
        let start = out.len();
        if self.read == Some(Reading::Array) && json_array::is_json(bytes) {
            json_array::render(bytes, self.holds_json, out)?;
        } else {
            render(self.to, bytes, out)?;
        }
        match self.limit {
            None => Ok(()),
            Some(limit) if self.read == Some(Reading::Array) => limit.check_elements(&out[start..]),
            Some(limit) => limit.check(&out[start..]),
        }
    }

    /// Whether the value, whose bytes go as they are, is kept whole.
    pub(crate) fn is_kept(&self, bytes: &[u8]) -> bool {
        self.limit.is_none_or(|limit| !limit.is_for_binary() || limit.check(bytes).is_ok())
    }

    /// What the server would round without a word.
    fn check_rounding(&self, bytes: &[u8]) -> Result<(), String> {
        if let (Some(unit_us), Some(value)) = (self.unit_us, bytes.first_chunk::<8>())
            && !matches!(i64::from_be_bytes(*value), i64::MAX | i64::MIN)
            && i64::from_be_bytes(*value) % unit_us != 0
        {
            return Err(format!(
                "the column keeps units of {unit_us} us; the rest of the second would be lost"
            ));
        }
        if let Some(digits_max) = self.digits_max
            && clock::has_more_digits(bytes, digits_max)
        {
            return Err(format!(
                "the column keeps {digits_max} digits of a second; {} would be rounded",
                String::from_utf8_lossy(bytes)
            ));
        }
        if let Some(scale) = self.scale
            && let Ok(number) = Numeric::new(bytes)
            && digits_behind_point(&number) > scale
        {
            return Err(format!(
                "the column keeps {scale} digits behind the point; {number} would be rounded"
            ));
        }
        Ok(())
    }
}

/// The place of the last digit that is not zero: 2 of 1.250, -2 of 700.
pub(crate) fn digits_behind_point(number: &Numeric<'_>) -> i32 {
    let Some(last) = number.digits().next_back() else { return i32::MIN };
    let groups = number.digits().len() as i32 - 1 - i32::from(number.weight());
    let zeros = [10, 100, 1000].iter().filter(|power| last % **power == 0).count() as i32;
    groups * 4 - zeros
}

/// Appends a value as text that PostgreSQL reads as the same value.
pub(crate) fn render(kind: Type, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    use std::io::Write;
    let value = Value::decode(kind, Some(bytes)).map_err(|error| error.to_string())?;
    // Writing to a vector has no way to fail.
    let _ = match value {
        Value::Null => Ok(()),
        Value::Bool(value) => write!(out, "{}", if value { 't' } else { 'f' }),
        Value::Int(value) => write!(out, "{value}"),
        Value::Float(value) if value.is_infinite() => {
            write!(out, "{}Infinity", if value < 0.0 { "-" } else { "" })
        }
        Value::Float(value) if kind == Type::Float4 => write!(out, "{}", value as f32),
        Value::Float(value) => write!(out, "{value}"),
        Value::Text(value) | Value::Json(value) => out.write_all(value.as_bytes()),
        Value::Bytes(value) => {
            let _ = out.write_all(b"\\x");
            value.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
        }
        Value::Date(days) => {
            clock::date(days, out);
            Ok(())
        }
        Value::Time(us) => {
            clock::time(us, out);
            Ok(())
        }
        Value::Timestamp(us) => {
            clock::timestamp(us, false, out);
            Ok(())
        }
        Value::Timestamptz(us) => {
            clock::timestamp(us, true, out);
            Ok(())
        }
        Value::Uuid(value) => {
            render_uuid(&value, out);
            Ok(())
        }
        Value::Numeric(value) => {
            render_numeric(value, out);
            Ok(())
        }
        _ => return Err(format!("{kind} has no text that this program knows")),
    };
    Ok(())
}

fn change_to_text(from: Type) -> Change {
    macro_rules! rendered {
        ($($kind:ident),*) => {
            match from {
                $(Type::$kind => |bytes, out| render(Type::$kind, bytes, out),)*
                _ => |bytes, out| render(Type::Text, bytes, out),
            }
        };
    }
    rendered!(
        Bool,
        Int2,
        Int4,
        Int8,
        Float4,
        Float8,
        Bytea,
        Date,
        Time,
        Timestamp,
        Timestamptz,
        Uuid,
        Json,
        Numeric
    )
}

/// Numbers and times of another width or kind, where nothing is lost.
fn change(from: Type, to: Type) -> Option<Change> {
    Some(match (from, to) {
        (Type::Int2 | Type::Int4 | Type::Int8, Type::Int2) => {
            |bytes, out| narrow::<2>(int(bytes), out, "int2")
        }
        (Type::Int2 | Type::Int4 | Type::Int8, Type::Int4) => {
            |bytes, out| narrow::<4>(int(bytes), out, "int4")
        }
        (Type::Int2 | Type::Int4, Type::Int8) => |bytes, out| narrow::<8>(int(bytes), out, "int8"),
        (Type::Int2 | Type::Int4 | Type::Int8, Type::Float8) => |bytes, out| {
            let value = int(bytes);
            let wide = value as f64;
            if wide as i128 != i128::from(value) {
                return Err(format!("{value} is no exact float8"));
            }
            out.extend_from_slice(&wide.to_be_bytes());
            Ok(())
        },
        (Type::Int2 | Type::Int4 | Type::Int8, Type::Float4) => |bytes, out| {
            let value = int(bytes);
            let narrow = value as f32;
            if narrow as i128 != i128::from(value) {
                return Err(format!("{value} is no exact float4"));
            }
            out.extend_from_slice(&narrow.to_be_bytes());
            Ok(())
        },
        (Type::Float4, Type::Float8) => |bytes, out| {
            out.extend_from_slice(&float(bytes).to_be_bytes());
            Ok(())
        },
        (Type::Float8, Type::Float4) => |bytes, out| {
            let value = float(bytes);
            let narrow = value as f32;
            if f64::from(narrow) != value && !value.is_nan() {
                return Err(format!("{value} is no exact float4"));
            }
            out.extend_from_slice(&narrow.to_be_bytes());
            Ok(())
        },
        (Type::Float4 | Type::Float8, Type::Int2) => |bytes, out| narrow::<2>(whole(bytes)?, out, "int2"),
        (Type::Float4 | Type::Float8, Type::Int4) => |bytes, out| narrow::<4>(whole(bytes)?, out, "int4"),
        (Type::Float4 | Type::Float8, Type::Int8) => |bytes, out| narrow::<8>(whole(bytes)?, out, "int8"),
        (Type::Int2 | Type::Int4 | Type::Int8, Type::Numeric) => |bytes, out| {
            numeric_from_int(int(bytes), out);
            Ok(())
        },
        (Type::Float4, Type::Numeric) => |bytes, out| {
            // The shortest text of a float4 is what was meant, not that of the float8 it lies on.
            let value = bytes.first_chunk().map_or(0.0, |bits| f32::from_be_bytes(*bits));
            parse_numeric(value.to_string().as_bytes(), out).map_err(str::to_owned)
        },
        (Type::Float8, Type::Numeric) => |bytes, out| {
            numeric_from_float(float(bytes), out);
            Ok(())
        },
        (Type::Numeric, Type::Int2) => |bytes, out| narrow::<2>(whole_of(bytes)?, out, "int2"),
        (Type::Numeric, Type::Int4) => |bytes, out| narrow::<4>(whole_of(bytes)?, out, "int4"),
        (Type::Numeric, Type::Int8) => |bytes, out| narrow::<8>(whole_of(bytes)?, out, "int8"),
        (Type::Date, Type::Timestamp) => |bytes, out| {
            let us = match bytes.first_chunk().map_or(0, |days| i32::from_be_bytes(*days)) {
                i32::MAX => i64::MAX,
                i32::MIN => i64::MIN,
                days => i64::from(days)
                    .checked_mul(DAY_US)
                    .ok_or_else(|| "the day is beyond what a timestamp holds".to_owned())?,
            };
            out.extend_from_slice(&us.to_be_bytes());
            Ok(())
        },
        (Type::Timestamp, Type::Date) => |bytes, out| {
            let days = match int(bytes) {
                i64::MAX => i32::MAX,
                i64::MIN => i32::MIN,
                us if us % DAY_US != 0 => {
                    return Err("the time of the day would be lost in a date".to_owned());
                }
                // Any i64 of microseconds is fewer days than an i32 holds.
                us => (us / DAY_US) as i32,
            };
            out.extend_from_slice(&days.to_be_bytes());
            Ok(())
        },
        _ => return None,
    })
}

fn int(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i16::from_be_bytes([a, b]).into(),
        [a, b, c, d] => i32::from_be_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

fn float(bytes: &[u8]) -> f64 {
    match *bytes {
        [a, b, c, d] => f32::from_be_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => 0.0,
    }
}

fn whole(bytes: &[u8]) -> Result<i64, String> {
    let value = float(bytes);
    if value.fract() == 0.0 && value >= -(2_f64.powi(63)) && value < 2_f64.powi(63) {
        Ok(value as i64)
    } else {
        Err(format!("{value} is no whole number that an integer holds"))
    }
}

fn whole_of(bytes: &[u8]) -> Result<i64, String> {
    let number = Numeric::new(bytes).map_err(|error| error.to_string())?;
    number.to_int().ok_or_else(|| format!("{number} is no whole number that an integer holds"))
}

fn narrow<const BYTES: usize>(value: i64, out: &mut Vec<u8>, name: &str) -> Result<(), String> {
    let bits = BYTES as u32 * 8 - 1;
    if value.unsigned_abs() > (1_u64 << bits) || (value > 0 && value.unsigned_abs() == 1_u64 << bits) {
        return Err(format!("{value} is out of range for {name}"));
    }
    out.extend_from_slice(&value.to_be_bytes()[8 - BYTES..]);
    Ok(())
}
