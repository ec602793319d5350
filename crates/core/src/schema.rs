use std::fmt;

use crate::Error;

/// The type of a column in a block. Each has the binary layout of PostgreSQL's type of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// 1 byte, 0 or 1.
    Bool,
    /// 2 bytes, big-endian, signed.
    Int2,
    /// 4 bytes, big-endian, signed.
    Int4,
    /// 8 bytes, big-endian, signed.
    Int8,
    /// 4 bytes, IEEE 754.
    Float4,
    /// 8 bytes, IEEE 754.
    Float8,
    /// UTF-8 without NUL.
    Text,
    /// Any bytes.
    Bytea,
    /// 4 bytes: days since 2000-01-01.
    Date,
    /// 8 bytes: microseconds since midnight.
    Time,
    /// 8 bytes: microseconds since 2000-01-01 00:00:00, of no zone.
    Timestamp,
    /// 8 bytes: microseconds since 2000-01-01 00:00:00 UTC.
    Timestamptz,
    /// 16 bytes.
    Uuid,
    /// JSON as UTF-8 text.
    Json,
    /// An exact decimal number of up to 131,072 digits before the point and 16,383 behind it: 8 bytes and 2 for every 4 digits.
    Numeric,
}

impl Type {
    /// Every type, in the order of their codes.
    pub const ALL: [Type; 15] = [
        Type::Bool,
        Type::Int2,
        Type::Int4,
        Type::Int8,
        Type::Float4,
        Type::Float8,
        Type::Text,
        Type::Bytea,
        Type::Date,
        Type::Time,
        Type::Timestamp,
        Type::Timestamptz,
        Type::Uuid,
        Type::Json,
        Type::Numeric,
    ];

    /// The code that stands for the type on disk. Never changes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Type::Bool => 1,
            Type::Int2 => 2,
            Type::Int4 => 3,
            Type::Int8 => 4,
            Type::Float4 => 5,
            Type::Float8 => 6,
            Type::Text => 7,
            Type::Bytea => 8,
            Type::Date => 9,
            Type::Time => 10,
            Type::Timestamp => 11,
            Type::Timestamptz => 12,
            Type::Uuid => 13,
            Type::Json => 14,
            Type::Numeric => 15,
        }
    }

    /// The type of a code, if this version knows it.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Type> {
        Type::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The length of every value in bytes, where all have the same.
    #[must_use]
    pub const fn width_bytes(self) -> Option<usize> {
        match self {
            Type::Bool => Some(1),
            Type::Int2 => Some(2),
            Type::Int4 | Type::Float4 | Type::Date => Some(4),
            Type::Int8 | Type::Float8 | Type::Time | Type::Timestamp | Type::Timestamptz => Some(8),
            Type::Uuid => Some(16),
            Type::Text | Type::Bytea | Type::Json | Type::Numeric => None,
        }
    }

    /// The name as users write it, for example in `--types`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Type::Bool => "bool",
            Type::Int2 => "int2",
            Type::Int4 => "int4",
            Type::Int8 => "int8",
            Type::Float4 => "float4",
            Type::Float8 => "float8",
            Type::Text => "text",
            Type::Bytea => "bytea",
            Type::Date => "date",
            Type::Time => "time",
            Type::Timestamp => "timestamp",
            Type::Timestamptz => "timestamptz",
            Type::Uuid => "uuid",
            Type::Json => "json",
            Type::Numeric => "numeric",
        }
    }

    /// The type of a name, the common other spellings included (`integer`, `bigint`, `double`, `varchar`, `boolean` ...).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Type> {
        Some(match name.to_ascii_lowercase().as_str() {
            "bool" | "boolean" => Type::Bool,
            "int2" | "smallint" => Type::Int2,
            "int4" => Type::Int4,
            "int8" | "bigint" | "int" | "integer" => Type::Int8,
            "float4" => Type::Float4,
            "float8" | "real" | "double" | "float" | "double precision" => Type::Float8,
            "text" | "string" | "varchar" => Type::Text,
            "bytea" | "blob" | "bytes" => Type::Bytea,
            "date" => Type::Date,
            "time" => Type::Time,
            "timestamp" | "datetime" => Type::Timestamp,
            "timestamptz" => Type::Timestamptz,
            "uuid" => Type::Uuid,
            "json" | "jsonb" => Type::Json,
            "numeric" | "decimal" => Type::Numeric,
            _ => return None,
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One column of a schema.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// The name, as the target has it.
    pub name: String,
    /// The type of its values in blocks.
    pub kind: Type,
    /// Whether a row may leave it empty.
    pub nullable: bool,
}

impl Column {
    /// A column that may be empty.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Type) -> Self {
        Column { name: name.into(), kind, nullable: true }
    }

    /// The same column, refusing empty values.
    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.nullable = false;
        self
    }
}

/// Stands for a schema in blocks and logs: a hash of all that it says, the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub u64);

/// The columns of a block, in the order of its tuples.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schema {
    columns: Vec<Column>,
}

impl Schema {
    /// The most columns a schema may have.
    pub const COLUMNS_MAX: usize = 4096;

    /// A schema of these columns.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) without columns, with more than [`COLUMNS_MAX`](Self::COLUMNS_MAX), with an empty
    /// name or with a name twice.
    pub fn new(columns: Vec<Column>) -> Result<Self, Error> {
        if columns.is_empty() || columns.len() > Self::COLUMNS_MAX {
            return Err(Error::invalid(format!(
                "a schema has 1 to {} columns, not {}",
                Self::COLUMNS_MAX,
                columns.len()
            )));
        }
        for (index, column) in columns.iter().enumerate() {
            if column.name.is_empty() || column.name.len() > usize::from(u16::MAX) {
                return Err(Error::invalid(format!("column {} has no usable name", index + 1)));
            }
            if columns[..index].iter().any(|earlier| earlier.name == column.name) {
                return Err(Error::invalid(format!("column {:?} is there twice", column.name)));
            }
        }
        Ok(Schema { columns })
    }

    /// The columns in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The place of a column, by its exact name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The hash of the schema's encoding (FNV-1a, 64 bit).
    #[must_use]
    pub fn id(&self) -> SchemaId {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in self.encode() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        SchemaId(hash)
    }

    /// The schema as bytes: `u16` columns, then for each `u8` type code, `u8` flags (1 = nullable), `u16` length
    /// and the name; integers big-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + self.columns.len() * 16);
        bytes.extend_from_slice(&(self.columns.len() as u16).to_be_bytes());
        for column in &self.columns {
            bytes.push(column.kind.code());
            bytes.push(u8::from(column.nullable));
            bytes.extend_from_slice(&(column.name.len() as u16).to_be_bytes());
            bytes.extend_from_slice(column.name.as_bytes());
        }
        bytes
    }

    /// The schema of such bytes.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when they are none.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, Error> {
        let corrupt = || Error::new(crate::ErrorKind::Corrupt, "these bytes are no schema");
        let count = u16::from_be_bytes(*take::<2>(&mut bytes).ok_or_else(corrupt)?);
        let mut columns = Vec::new();
        for _ in 0..count {
            let [code, flags, high, low] = *take::<4>(&mut bytes).ok_or_else(corrupt)?;
            let (name, rest) =
                bytes.split_at_checked(usize::from(u16::from_be_bytes([high, low]))).ok_or_else(corrupt)?;
            bytes = rest;
            columns.push(Column {
                name: std::str::from_utf8(name).map_err(|_| corrupt())?.to_owned(),
                kind: Type::from_code(code).ok_or_else(corrupt)?,
                nullable: flags & 1 == 1,
            });
        }
        if bytes.is_empty() { Schema::new(columns) } else { Err(corrupt()) }
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::{Column, Schema, Type};

    #[test]
    fn encoding_is_read_back_and_refuses_what_is_cut() {
        let schema =
            Schema::new(Type::ALL.into_iter().map(|kind| Column::new(format!("c_{kind}"), kind)).collect())
                .unwrap();
        let bytes = schema.encode();
        assert_eq!(Schema::decode(&bytes).unwrap(), schema);
        for cut in 0..bytes.len() {
            assert!(Schema::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn the_id_is_the_same_on_every_machine() {
        let schema =
            Schema::new(vec![Column::new("a", Type::Int8), Column::new("b", Type::Text).not_null()]).unwrap();
        assert_eq!(schema.id().0, 0x3910b95ee86b042c);
        let other = Schema::new(vec![Column::new("a", Type::Int8), Column::new("b", Type::Text)]).unwrap();
        assert_ne!(schema.id(), other.id());
    }

    #[test]
    fn names_are_unique() {
        assert!(Schema::new(vec![Column::new("a", Type::Int8), Column::new("a", Type::Text)]).is_err());
        assert!(Schema::new(vec![]).is_err());
    }
}
