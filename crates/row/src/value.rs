use standpipe_core::{Error, ErrorKind, Type};

use crate::numeric::Numeric;

/// One value of a tuple, borrowed from the block.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// NULL of any type.
    Null,
    /// A bool.
    Bool(bool),
    /// An int2, int4 or int8.
    Int(i64),
    /// A float4 or float8.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// A bytea.
    Bytes(&'a [u8]),
    /// Days since 2000-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 2000-01-01 00:00:00, of no zone.
    Timestamp(i64),
    /// Microseconds since 2000-01-01 00:00:00 UTC.
    Timestamptz(i64),
    /// A UUID.
    Uuid([u8; 16]),
    /// JSON as text.
    Json(&'a str),
    /// An exact decimal number.
    Numeric(Numeric<'a>),
}

impl<'a> Value<'a> {
    /// The value of a column's bytes.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) when the bytes have another width than the type, are no UTF-8 where they must be, or no
    /// number in its one form where they must be that.
    #[inline]
    pub fn decode(kind: Type, bytes: Option<&'a [u8]>) -> Result<Self, Error> {
        let Some(bytes) = bytes else { return Ok(Value::Null) };
        Self::decode_present(kind, bytes).ok_or_else(|| corrupt(kind, bytes))
    }

    #[inline]
    fn decode_present(kind: Type, bytes: &'a [u8]) -> Option<Self> {
        Some(match kind {
            Type::Bool => match bytes {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return None,
            },
            Type::Int2 => Value::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
            Type::Int4 => Value::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
            Type::Int8 => Value::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
            Type::Float4 => Value::Float(f32::from_be_bytes(bytes.try_into().ok()?).into()),
            Type::Float8 => Value::Float(f64::from_be_bytes(bytes.try_into().ok()?)),
            Type::Text => Value::Text(std::str::from_utf8(bytes).ok()?),
            Type::Bytea => Value::Bytes(bytes),
            Type::Date => Value::Date(i32::from_be_bytes(bytes.try_into().ok()?)),
            Type::Time => Value::Time(i64::from_be_bytes(bytes.try_into().ok()?)),
            Type::Timestamp => Value::Timestamp(i64::from_be_bytes(bytes.try_into().ok()?)),
            Type::Timestamptz => Value::Timestamptz(i64::from_be_bytes(bytes.try_into().ok()?)),
            Type::Uuid => Value::Uuid(bytes.try_into().ok()?),
            Type::Json => Value::Json(std::str::from_utf8(bytes).ok()?),
            Type::Numeric => Value::Numeric(Numeric::read(bytes)?),
            _ => return None,
        })
    }
}

#[cold]
fn corrupt(kind: Type, bytes: &[u8]) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a field of {} bytes is no {kind}", bytes.len()))
}
