use standpipe_core::Type;

use super::civil::{date_text, time_text, timestamp_text};
use super::decimal;

/// One value of a row, by its column's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// [`Type::Bool`]
    Bool(bool),
    /// [`Type::Int2`]
    Int2(i16),
    /// [`Type::Int4`]
    Int4(i32),
    /// [`Type::Int8`]
    Int8(i64),
    /// [`Type::Float4`]
    Float4(f32),
    /// [`Type::Float8`]
    Float8(f64),
    /// [`Type::Text`]
    Text(String),
    /// [`Type::Bytea`]
    Bytea(Vec<u8>),
    /// [`Type::Date`]: days since 2000-01-01.
    Date(i32),
    /// [`Type::Time`]: microseconds since midnight.
    Time(i64),
    /// [`Type::Timestamp`]: microseconds since 2000-01-01.
    Timestamp(i64),
    /// [`Type::Timestamptz`]: microseconds since 2000-01-01 UTC.
    Timestamptz(i64),
    /// [`Type::Uuid`]
    Uuid([u8; 16]),
    /// [`Type::Json`]
    Json(String),
    /// [`Type::Numeric`], as PostgreSQL prints it: `-0.50`, `NaN`, `Infinity`, `-Infinity`; never with an exponent.
    Numeric(String),
}

impl Value {
    /// A text value.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into())
    }

    /// The bytes of the value as a tuple has them, without their length; `None` for NULL.
    ///
    /// # Panics
    /// For a numeric that is not as PostgreSQL prints it.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        Some(match self {
            Value::Null => return None,
            Value::Bool(value) => vec![u8::from(*value)],
            Value::Int2(value) => value.to_be_bytes().to_vec(),
            Value::Int4(value) | Value::Date(value) => value.to_be_bytes().to_vec(),
            Value::Int8(value) | Value::Time(value) | Value::Timestamp(value) | Value::Timestamptz(value) => {
                value.to_be_bytes().to_vec()
            }
            Value::Float4(value) => value.to_be_bytes().to_vec(),
            Value::Float8(value) => value.to_be_bytes().to_vec(),
            Value::Text(value) | Value::Json(value) => value.clone().into_bytes(),
            Value::Bytea(value) => value.clone(),
            Value::Uuid(value) => value.to_vec(),
            Value::Numeric(value) => decimal::encode(value),
        })
    }

    /// The value of such bytes; `None` when they are none of this type.
    #[must_use]
    pub fn decode(kind: Type, bytes: Option<&[u8]>) -> Option<Self> {
        let Some(bytes) = bytes else { return Some(Value::Null) };
        Some(match kind {
            Type::Bool => match bytes {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return None,
            },
            Type::Int2 => Value::Int2(i16::from_be_bytes(bytes.try_into().ok()?)),
            Type::Int4 => Value::Int4(i32::from_be_bytes(bytes.try_into().ok()?)),
            Type::Int8 => Value::Int8(i64::from_be_bytes(bytes.try_into().ok()?)),
            Type::Float4 => Value::Float4(f32::from_be_bytes(bytes.try_into().ok()?)),
            Type::Float8 => Value::Float8(f64::from_be_bytes(bytes.try_into().ok()?)),
            Type::Text => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
            Type::Bytea => Value::Bytea(bytes.to_vec()),
            Type::Date => Value::Date(i32::from_be_bytes(bytes.try_into().ok()?)),
            Type::Time => Value::Time(i64::from_be_bytes(bytes.try_into().ok()?)),
            Type::Timestamp => Value::Timestamp(i64::from_be_bytes(bytes.try_into().ok()?)),
            Type::Timestamptz => Value::Timestamptz(i64::from_be_bytes(bytes.try_into().ok()?)),
            Type::Uuid => Value::Uuid(bytes.try_into().ok()?),
            Type::Json => Value::Json(String::from_utf8(bytes.to_vec()).ok()?),
            Type::Numeric => Value::Numeric(decimal::decode(bytes)?),
            _ => return None,
        })
    }

    /// The value as text for comparing and for messages; `None` for NULL.
    ///
    /// `true`, decimal numbers, `2024-02-29`, `23:59:59.999999`, `2024-02-29 00:00:00`, the same with `+00` behind it for
    /// [`Type::Timestamptz`], bytes in hexadecimal.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        Some(match self {
            Value::Null => return None,
            Value::Bool(value) => value.to_string(),
            Value::Int2(value) => value.to_string(),
            Value::Int4(value) => value.to_string(),
            Value::Int8(value) => value.to_string(),
            Value::Float4(value) => value.to_string(),
            Value::Float8(value) => value.to_string(),
            Value::Text(value) | Value::Json(value) | Value::Numeric(value) => value.clone(),
            Value::Bytea(value) => hex(value),
            Value::Date(days) => date_text(i64::from(*days)),
            Value::Time(micros) => time_text(*micros),
            Value::Timestamp(micros) => timestamp_text(*micros),
            Value::Timestamptz(micros) => format!("{}+00", timestamp_text(*micros)),
            Value::Uuid(value) => {
                let digits = hex(value);
                [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
            }
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_back_and_refuse_other_widths() {
        let values = [
            (Type::Bool, Value::Bool(true)),
            (Type::Int2, Value::Int2(-2)),
            (Type::Int8, Value::Int8(i64::MIN)),
            (Type::Float4, Value::Float4(0.5)),
            (Type::Text, Value::text("ü")),
            (Type::Uuid, Value::Uuid([7; 16])),
        ];
        for (kind, value) in values {
            let bytes = value.encode().unwrap();
            assert_eq!(Value::decode(kind, Some(&bytes)), Some(value));
            if let Some(width) = kind.width_bytes() {
                assert_eq!(Value::decode(kind, Some(&vec![0; width + 1])), None);
            }
        }
        assert_eq!(Value::decode(Type::Text, Some(&[0xff])), None);
        assert_eq!(Value::decode(Type::Bool, Some(&[2])), None);
    }

    #[test]
    fn text_forms() {
        assert_eq!(Value::Uuid([0x1f; 16]).to_text().unwrap(), "1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1f");
        assert_eq!(Value::Bytea(vec![0, 255]).to_text().unwrap(), "00ff");
        assert_eq!(Value::Timestamptz(0).to_text().unwrap(), "2000-01-01 00:00:00+00");
        assert_eq!(Value::Null.to_text(), None);
    }
}
