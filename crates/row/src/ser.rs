//! Rows from any `serde::Serialize`.

use std::fmt;

use serde::ser::{Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};

use crate::builder::BlockBuilder;
use crate::error::RowError;
use crate::ser_field;

impl BlockBuilder {
    /// Writes a struct or a map as a row: each field to the column of its name.
    ///
    /// A field that is missing, or `None`, is NULL; a field that no column has is a fault. Strings are read as the
    /// column's type asks for ([`parse`](Self::parse)): RFC 3339 text goes to timestamptz, for example. Unit variants
    /// are their names. Whatever nests goes to json and text columns as JSON, and a json column takes every value as
    /// JSON. Numbers are converted where nothing is lost; a numeric column takes every
    /// integer, floats by their shortest decimal text, and strings. A struct whose fields come in the order of the columns costs
    /// no look-up; for any other order the columns that were found are remembered.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use standpipe_row::{BlockBuilder, render_json, trace};
    ///
    /// #[derive(serde::Serialize)]
    /// struct Reading { sensor: u32, celsius: Option<f64>, tags: Vec<&'static str> }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let reading = Reading { sensor: 7, celsius: Some(21.5), tags: vec!["roof"] };
    /// let mut builder = BlockBuilder::new(Arc::new(trace(&reading)?));
    /// builder.serialize(&reading)?;
    /// let block = builder.finish();
    /// assert_eq!(render_json(&block, 0)?, r#"{"sensor":7,"celsius":21.5,"tags":["roof"]}"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The first column at fault and why. The row leaves no trace then.
    pub fn serialize<T: Serialize + ?Sized>(&mut self, row: &T) -> Result<(), RowError> {
        self.begin_placed_row();
        let written = row.serialize(RowSerializer { builder: self });
        match written {
            Ok(()) => self.end_row(),
            Err(error) => {
                // A value's fault is the builder's to tell.
                self.fail_row(error.to_string());
                self.end_row()
            }
        }
    }

    /// The column of a struct's field, which most often is where it was in the row before.
    #[inline]
    fn column_of(&mut self, place: usize, name: &str) -> Option<usize> {
        let columns = self.schema().columns();
        let is = |index: usize| columns.get(index).is_some_and(|column| column.name == name);
        let index = match self.order.get(place) {
            Some(&index) if is(index) => return Some(index),
            // A field was left out before this one: the columns behind are shifted together.
            Some(&index) if is(index.wrapping_add(1)) => index + 1,
            _ => self.schema().index_of(name)?,
        };
        if place >= self.order.len() {
            self.order.resize(place + 1, usize::MAX);
        }
        self.order[place] = index;
        Some(index)
    }
}

/// Why a value could not be written.
#[derive(Debug)]
pub(crate) enum SerError {
    /// It nests, and is to be written as JSON.
    Nested,
    /// What its own `Serialize` says, or what serde asks for and is not there.
    Message(String),
}

impl fmt::Display for SerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SerError::Nested => f.write_str("a row must be a struct or a map with names"),
            SerError::Message(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for SerError {}

impl serde::ser::Error for SerError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        SerError::Message(message.to_string())
    }
}

struct RowSerializer<'b> {
    builder: &'b mut BlockBuilder,
}

struct Fields<'b> {
    builder: &'b mut BlockBuilder,
    place: usize,
    name: String,
}

impl Fields<'_> {
    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), SerError> {
        let Some(column) = self.builder.column_of(self.place, name) else {
            return Err(SerError::Message(format!("the table has no column {name:?}")));
        };
        self.place += 1;
        self.builder.column(column);
        ser_field::write(self.builder, value);
        Ok(())
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = SerError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), SerError> {
        self.field(name, value)
    }

    fn skip_field(&mut self, _name: &'static str) -> Result<(), SerError> {
        self.place += 1;
        Ok(())
    }

    fn end(self) -> Result<(), SerError> {
        Ok(())
    }
}

impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = SerError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerError> {
        self.name = ser_field::name_of(key)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerError> {
        let name = std::mem::take(&mut self.name);
        self.field(&name, value)
    }

    fn end(self) -> Result<(), SerError> {
        Ok(())
    }
}

macro_rules! no_row {
    ($($method:ident $kind:ty,)*) => {
        $(fn $method(self, _value: $kind) -> Result<(), SerError> { Err(SerError::Nested) })*
    };
}

impl<'b> Serializer for RowSerializer<'b> {
    type Ok = ();
    type Error = SerError;
    type SerializeSeq = Impossible<(), SerError>;
    type SerializeTuple = Impossible<(), SerError>;
    type SerializeTupleStruct = Impossible<(), SerError>;
    type SerializeTupleVariant = Impossible<(), SerError>;
    type SerializeMap = Fields<'b>;
    type SerializeStruct = Fields<'b>;
    type SerializeStructVariant = Impossible<(), SerError>;

    no_row! {
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_f32 f32,
        serialize_f64 f64, serialize_char char, serialize_str &str, serialize_bytes &[u8], serialize_unit_struct &'static str,
    }

    fn serialize_none(self) -> Result<(), SerError> {
        Err(SerError::Nested)
    }

    fn serialize_unit(self) -> Result<(), SerError> {
        Err(SerError::Nested)
    }

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

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), SerError> {
        Err(SerError::Nested)
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

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'b>, SerError> {
        Ok(Fields { builder: self.builder, place: 0, name: String::new() })
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'b>, SerError> {
        Ok(Fields { builder: self.builder, place: 0, name: String::new() })
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
