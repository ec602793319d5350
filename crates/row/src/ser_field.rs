//! One value of a row, from any `serde::Serialize`.

use std::io::Write as _;

use serde::ser::{Impossible, Serialize, SerializeSeq, SerializeTuple, Serializer};
use standpipe_core::Type;

use crate::builder::BlockBuilder;
use crate::ser::SerError;
use crate::write::kind_name;
use crate::{number, numeric};

/// Writes the value to the builder's next column, or makes it a fault of the row.
#[inline]
pub(crate) fn write<T: Serialize + ?Sized>(builder: &mut BlockBuilder, value: &T) {
    let written = match builder.kind() {
        Some(Type::Json) => return write_json(builder, value),
        _ => value.serialize(FieldSerializer { builder }),
    };
    match (written, builder.kind()) {
        (Ok(()), _) => {}
        (Err(SerError::Nested), Some(Type::Text)) => write_json(builder, value),
        (Err(SerError::Nested), Some(kind)) => {
            builder.refuse(kind_name(kind), "a value that nests");
        }
        (Err(error), _) => builder.fail_at(builder.next, error.to_string()),
    }
}

fn write_json<T: Serialize + ?Sized>(builder: &mut BlockBuilder, value: &T) {
    let start = builder.tuples.len();
    if let Err(error) = builder.put_with(|out| serde_json::to_writer(out, value)) {
        builder.fail_at(builder.next, error.to_string());
    } else if builder.tuples[start + 4..] == *b"null" {
        builder.tuples.truncate(start);
        builder.next -= 1;
        builder.null();
    }
}

/// The name that a map's key gives to a field.
pub(crate) fn name_of<T: Serialize + ?Sized>(key: &T) -> Result<String, SerError> {
    match serde_json::to_value(key) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        _ => {
            Err(SerError::Message("a row's fields must have names: the map's keys are no strings".to_owned()))
        }
    }
}

pub(crate) struct FieldSerializer<'b> {
    builder: &'b mut BlockBuilder,
}

impl FieldSerializer<'_> {
    fn text_of(&mut self, value: impl std::fmt::Debug) {
        let written = self.builder.put_with(|out| write!(out, "{value:?}"));
        debug_assert!(written.is_ok(), "invariant: a vector takes every write");
    }

    fn wide(
        mut self,
        value: Result<i64, std::num::TryFromIntError>,
        negative: bool,
        magnitude: u128,
    ) -> Result<(), SerError> {
        if let Ok(value) = value {
            return self.serialize_i64(value);
        }
        let shown = format_args!("{}{magnitude}", if negative { "-" } else { "" });
        match self.builder.kind() {
            Some(Type::Numeric) => {
                self.builder.put_number(|out| numeric::push_int(negative, magnitude, out));
            }
            Some(Type::Text) => self.text_of(shown),
            _ => {
                self.builder.refuse(number::INT8, shown);
            }
        }
        Ok(())
    }
}

macro_rules! int {
    ($($method:ident $kind:ty,)*) => {
        $(#[inline] fn $method(self, value: $kind) -> Result<(), SerError> { self.serialize_i64(i64::from(value)) })*
    };
}

impl<'b> Serializer for FieldSerializer<'b> {
    type Ok = ();
    type Error = SerError;
    type SerializeSeq = ByteSeq<'b>;
    type SerializeTuple = ByteSeq<'b>;
    type SerializeTupleStruct = Impossible<(), SerError>;
    type SerializeTupleVariant = Impossible<(), SerError>;
    type SerializeMap = Impossible<(), SerError>;
    type SerializeStruct = Impossible<(), SerError>;
    type SerializeStructVariant = Impossible<(), SerError>;

    int! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_u8 u8, serialize_u16 u16, serialize_u32 u32,
    }

    fn serialize_bool(mut self, value: bool) -> Result<(), SerError> {
        match self.builder.kind() {
            Some(Type::Text) => self.text_of(value),
            _ => {
                self.builder.bool(value);
            }
        }
        Ok(())
    }

    #[inline]
    fn serialize_i64(mut self, value: i64) -> Result<(), SerError> {
        match self.builder.kind() {
            Some(Type::Text) => self.text_of(value),
            _ => {
                self.builder.int(value);
            }
        }
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Result<(), SerError> {
        self.wide(i64::try_from(value), false, value.into())
    }

    fn serialize_i128(self, value: i128) -> Result<(), SerError> {
        self.wide(i64::try_from(value), value < 0, value.unsigned_abs())
    }

    fn serialize_u128(self, value: u128) -> Result<(), SerError> {
        self.wide(i64::try_from(value), false, value)
    }

    fn serialize_f32(mut self, value: f32) -> Result<(), SerError> {
        match self.builder.kind() {
            // The spelling that an f32 has, not the one of the f64 that is nearest to it.
            Some(Type::Text) => self.text_of(value),
            Some(Type::Numeric) if value.is_finite() => {
                self.builder.put_number(|out| numeric::numeric_from_float4(value, out));
            }
            _ => return self.serialize_f64(f64::from(value)),
        }
        Ok(())
    }

    #[inline]
    fn serialize_f64(mut self, value: f64) -> Result<(), SerError> {
        match self.builder.kind() {
            Some(Type::Text) => self.text_of(value),
            Some(Type::Int2 | Type::Int4 | Type::Int8)
                if value.fract() == 0.0 && value.abs() <= 2_f64.powi(53) =>
            {
                self.builder.int(value as i64);
            }
            _ => {
                self.builder.float(value);
            }
        }
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), SerError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), SerError> {
        match self.builder.kind() {
            Some(Type::Text) => self.builder.text(value),
            _ => self.builder.parse(value.as_bytes()),
        };
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), SerError> {
        match (self.builder.kind(), value.try_into()) {
            (Some(Type::Uuid), Ok(uuid)) => self.builder.uuid(uuid),
            _ => self.builder.bytes(value),
        };
        Ok(())
    }

    fn serialize_none(self) -> Result<(), SerError> {
        self.builder.null();
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), SerError> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), SerError> {
        self.serialize_none()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), SerError> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), SerError> {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), SerError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), SerError> {
        Err(SerError::Nested)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ByteSeq<'b>, SerError> {
        ByteSeq::begin(self.builder)
    }

    fn serialize_tuple(self, _: usize) -> Result<ByteSeq<'b>, SerError> {
        ByteSeq::begin(self.builder)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, SerError> {
        Err(SerError::Nested)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, SerError> {
        Err(SerError::Nested)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, SerError> {
        Err(SerError::Nested)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, SerError> {
        Err(SerError::Nested)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, SerError> {
        Err(SerError::Nested)
    }
}

/// What `Vec<u8>` and `[u8; 16]` are to serde: a sequence of numbers, for a bytea or uuid column the bytes they are.
pub(crate) struct ByteSeq<'b> {
    builder: &'b mut BlockBuilder,
    bytes: Vec<u8>,
}

impl<'b> ByteSeq<'b> {
    fn begin(builder: &'b mut BlockBuilder) -> Result<Self, SerError> {
        match builder.kind() {
            Some(Type::Bytea | Type::Uuid) => {
                let mut bytes = std::mem::take(&mut builder.text_scratch);
                bytes.clear();
                Ok(ByteSeq { builder, bytes })
            }
            _ => Err(SerError::Nested),
        }
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerError> {
        if self.bytes.len() >= self.builder.row_bytes_max {
            return Err(SerError::Message(format!(
                "bytes with which the row is longer than {}",
                self.builder.row_bytes_max
            )));
        }
        match serde_json::to_value(value).ok().and_then(|value| value.as_u64()).map(u8::try_from) {
            Some(Ok(byte)) => {
                self.bytes.push(byte);
                Ok(())
            }
            _ => Err(SerError::Nested),
        }
    }

    fn finish(mut self) -> Result<(), SerError> {
        self.bytes = {
            let bytes = self.bytes;
            FieldSerializer { builder: self.builder }.serialize_bytes(&bytes)?;
            bytes
        };
        self.bytes.shrink_to(BlockBuilder::CAPACITY_DEFAULT);
        self.builder.text_scratch = self.bytes;
        Ok(())
    }
}

impl SerializeSeq for ByteSeq<'_> {
    type Ok = ();
    type Error = SerError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerError> {
        self.push(value)
    }

    fn end(self) -> Result<(), SerError> {
        self.finish()
    }
}

impl SerializeTuple for ByteSeq<'_> {
    type Ok = ();
    type Error = SerError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerError> {
        self.push(value)
    }

    fn end(self) -> Result<(), SerError> {
        self.finish()
    }
}
