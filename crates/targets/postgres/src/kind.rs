//! Types of blocks and types of the server.

use standpipe_core::Type;

/// Types by the numbers that every server has for them (`pg_type.dat`).
pub(crate) mod oid {
    pub(crate) const CHAR: u32 = 18;
    pub(crate) const INTERVAL: u32 = 1186;
    pub(crate) const BOOL: u32 = 16;
    pub(crate) const BYTEA: u32 = 17;
    pub(crate) const NAME: u32 = 19;
    pub(crate) const INT8: u32 = 20;
    pub(crate) const INT2: u32 = 21;
    pub(crate) const INT4: u32 = 23;
    pub(crate) const TEXT: u32 = 25;
    pub(crate) const JSON: u32 = 114;
    pub(crate) const FLOAT4: u32 = 700;
    pub(crate) const FLOAT8: u32 = 701;
    pub(crate) const BPCHAR: u32 = 1042;
    pub(crate) const VARCHAR: u32 = 1043;
    pub(crate) const DATE: u32 = 1082;
    pub(crate) const TIME: u32 = 1083;
    pub(crate) const TIMESTAMP: u32 = 1114;
    pub(crate) const TIMESTAMPTZ: u32 = 1184;

    pub(crate) const TIMETZ: u32 = 1266;
    pub(crate) const NUMERIC: u32 = 1700;
    pub(crate) const UUID: u32 = 2950;
    pub(crate) const JSONB: u32 = 3802;
}

/// A column's type, domains looked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PgType {
    /// The type, or the one that a domain is made of.
    pub(crate) oid: u32,
    /// As SQL has it, with its modifiers.
    pub(crate) declared: String,
    /// As SQL has it without them: a cast to `varchar(3)` cuts a text without a word, an assignment refuses it.
    pub(crate) bare: String,
    pub(crate) class: Class,
    /// Neither type nor collation can be dropped: a table that is left in a session holds on to nothing.
    pub(crate) is_built_in: bool,
    /// Length, precision or scale, as the type encodes it; -1 is none.
    pub(crate) modifier: i32,
    /// Of an array: the type of its elements, domains looked through, and their modifier.
    pub(crate) element: Option<(u32, i32)>,
}

/// How the server sorts its types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Base,
    Enum,
    Array,
    /// A row: `unnest` would take it apart, as it does an array.
    Composite,
}

impl PgType {
    /// The type that blocks for such a column should have: text where the server reads it better than we do.
    pub(crate) fn kind(&self) -> Type {
        if self.class != Class::Base {
            return Type::Text;
        }
        match self.oid {
            oid::BOOL => Type::Bool,
            oid::INT2 => Type::Int2,
            oid::INT4 => Type::Int4,
            oid::INT8 => Type::Int8,
            oid::FLOAT4 => Type::Float4,
            oid::FLOAT8 => Type::Float8,
            oid::BYTEA => Type::Bytea,
            oid::DATE => Type::Date,
            oid::TIME => Type::Time,
            oid::TIMESTAMP => Type::Timestamp,
            oid::TIMESTAMPTZ => Type::Timestamptz,
            oid::UUID => Type::Uuid,
            oid::JSON | oid::JSONB => Type::Json,
            oid::NUMERIC => Type::Numeric,
            _ => Type::Text,
        }
    }

    /// Whether the server's binary form is plain text in UTF-8.
    pub(crate) fn is_text(&self) -> bool {
        match self.class {
            Class::Enum => true,
            Class::Array | Class::Composite => false,
            Class::Base => {
                matches!(self.oid, oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::JSON)
            }
        }
    }

    /// Digits behind the point that the column keeps, where that is stated.
    pub(crate) fn scale(&self) -> Option<i32> {
        (self.oid == oid::NUMERIC && self.class == Class::Base).then(|| scale_of(self.modifier))?
    }

    /// Digits of a second that the column keeps, if it is one of times.
    pub(crate) fn clock_digits(&self) -> Option<u32> {
        let is_clock = matches!(self.oid, oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ);
        (is_clock && self.class == Class::Base).then(|| u32::try_from(self.modifier).unwrap_or(6).min(6))
    }

    /// Digits of a second that the column keeps, where they are fewer than a block's.
    pub(crate) fn second_digits(&self) -> Option<u32> {
        self.clock_digits().filter(|digits| *digits < 6)
    }
}

/// Digits behind the point by the modifier of a `numeric`.
pub(crate) fn scale_of(modifier: i32) -> Option<i32> {
    // 11 bits, signed since the server lets a scale be negative.
    (modifier >= 4).then_some((((modifier.wrapping_sub(4)) & 0x7ff) ^ 1024) - 1024)
}

/// The type that `create` declares for a column.
pub(crate) const fn declared(kind: Type) -> &'static str {
    match kind {
        Type::Bool => "boolean",
        Type::Int2 => "smallint",
        Type::Int4 => "integer",
        Type::Int8 => "bigint",
        Type::Float4 => "real",
        Type::Float8 => "double precision",
        Type::Bytea => "bytea",
        Type::Date => "date",
        Type::Time => "time",
        Type::Timestamp => "timestamp",
        Type::Timestamptz => "timestamptz",
        Type::Uuid => "uuid",
        Type::Numeric => "numeric",
        // Keeps every text as it came; jsonb drops what it thinks double.
        Type::Json => "json",
        _ => "text",
    }
}
