use std::fmt;

use crate::Type;

/// The name of a table, with the schema it is in where the target has such.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The schema, if named.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

impl TableName {
    /// A table of the default schema.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        TableName { schema: None, name: name.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What a row does to a row with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Insert; a key that is there already is a bad row.
    #[default]
    Append,
    /// Insert, or set the given columns of the row that has the key.
    Upsert,
    /// Insert, or replace the whole row that has the key: columns not given get their defaults.
    Replace,
    /// Insert, or leave the row that has the key as it is.
    Ignore,
}

impl Mode {
    /// The name as users write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Append => "append",
            Mode::Upsert => "upsert",
            Mode::Replace => "replace",
            Mode::Ignore => "ignore",
        }
    }

    /// The mode of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Mode::Append, Mode::Upsert, Mode::Replace, Mode::Ignore].into_iter().find(|mode| mode.name() == name)
    }
}

/// Where rows go, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The table.
    pub table: TableName,
    /// What a row does to one with the same key.
    pub mode: Mode,
    /// The columns of the key; needed for every mode but append.
    pub key: Vec<String>,
}

impl Destination {
    /// Plain inserts into `table`.
    #[must_use]
    pub fn append(table: TableName) -> Self {
        Destination { table, mode: Mode::Append, key: Vec::new() }
    }
}

/// A table as the target describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// The table.
    pub table: TableName,
    /// Its columns in order.
    pub columns: Vec<ColumnShape>,
    /// The primary key first if there is one, then every unique key, by column names.
    pub keys: Vec<Vec<String>>,
}

impl TableShape {
    /// A column by its name; where none has it exactly, the one that has it in other case.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnShape> {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .or_else(|| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
    }
}

/// A column as the target describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnShape {
    /// The name.
    pub name: String,
    /// The type that blocks for it should have.
    pub kind: Type,
    /// The type as the target declares it.
    pub declared: String,
    /// Whether it takes NULL.
    pub nullable: bool,
    /// Whether it has a value of its own when a row does not give one.
    pub has_default: bool,
    /// Whether the target computes it and refuses given values.
    pub generated: bool,
}
