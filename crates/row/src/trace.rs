use serde::ser::{Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};
use standpipe_core::{Column, Error, Schema, Type};

use crate::ser::SerError;
use crate::ser_field::name_of;

/// The schema that a sample's fields ask for: integers the narrowest type that holds all of theirs, strings and what is
/// `None` in the sample text, whatever nests json. Every column may be empty.
///
/// # Errors
/// [`Invalid`](standpipe_core::ErrorKind::Invalid) when the sample is no struct and no map with names, or has no fields.
pub fn trace<T: Serialize + ?Sized>(sample: &T) -> Result<Schema, Error> {
    let columns = sample
        .serialize(Tracer)
        .and_then(|traced| match traced {
            Traced::Row(columns) => Ok(columns),
            Traced::Value(_) => Err(SerError::Nested),
        })
        .map_err(|error| Error::invalid(error.to_string()))?;
    Schema::new(columns)
}

enum Traced {
    Value(Type),
    Row(Vec<Column>),
}

struct Tracer;

#[derive(Default)]
struct Columns {
    columns: Vec<Column>,
    name: String,
}

impl Columns {
    fn field<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), SerError> {
        let kind = match value.serialize(Tracer) {
            Ok(Traced::Value(kind)) => kind,
            Ok(Traced::Row(_)) | Err(SerError::Nested) => Type::Json,
            Err(error) => return Err(error),
        };
        self.columns.push(Column::new(name, kind));
        Ok(())
    }
}

impl SerializeStruct for Columns {
    type Ok = Traced;
    type Error = SerError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), SerError> {
        self.field(name.to_owned(), value)
    }

    fn end(self) -> Result<Traced, SerError> {
        Ok(Traced::Row(self.columns))
    }
}

impl SerializeMap for Columns {
    type Ok = Traced;
    type Error = SerError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerError> {
        self.name = name_of(key)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerError> {
        let name = std::mem::take(&mut self.name);
        self.field(name, value)
    }

    fn end(self) -> Result<Traced, SerError> {
        Ok(Traced::Row(self.columns))
    }
}

macro_rules! scalars {
    ($($method:ident $kind:ty => $column:ident,)*) => {
        $(fn $method(self, _value: $kind) -> Result<Traced, SerError> { Ok(Traced::Value(Type::$column)) })*
    };
}

impl Serializer for Tracer {
    type Ok = Traced;
    type Error = SerError;
    type SerializeSeq = Impossible<Traced, SerError>;
    type SerializeTuple = Impossible<Traced, SerError>;
    type SerializeTupleStruct = Impossible<Traced, SerError>;
    type SerializeTupleVariant = Impossible<Traced, SerError>;
    type SerializeMap = Columns;
    type SerializeStruct = Columns;
    type SerializeStructVariant = Impossible<Traced, SerError>;

    scalars! {
        serialize_bool bool => Bool,
        serialize_i8 i8 => Int2, serialize_i16 i16 => Int2, serialize_i32 i32 => Int4, serialize_i64 i64 => Int8,
        serialize_u8 u8 => Int2, serialize_u16 u16 => Int4, serialize_u32 u32 => Int8, serialize_u64 u64 => Int8,
        serialize_i128 i128 => Int8, serialize_u128 u128 => Int8,
        serialize_f32 f32 => Float4, serialize_f64 f64 => Float8,
        serialize_char char => Text, serialize_str &str => Text, serialize_bytes &[u8] => Bytea,
        serialize_unit_struct &'static str => Text,
    }

    fn serialize_none(self) -> Result<Traced, SerError> {
        Ok(Traced::Value(Type::Text))
    }

    fn serialize_unit(self) -> Result<Traced, SerError> {
        Ok(Traced::Value(Type::Text))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Traced, SerError> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Traced, SerError> {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<Traced, SerError> {
        Ok(Traced::Value(Type::Text))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Traced, SerError> {
        Err(SerError::Nested)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, SerError> {
        Err(SerError::Nested)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, SerError> {
        Err(SerError::Nested)
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

    fn serialize_map(self, _: Option<usize>) -> Result<Columns, SerError> {
        Ok(Columns::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Columns, SerError> {
        Ok(Columns::default())
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
