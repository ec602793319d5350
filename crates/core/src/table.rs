use std::fmt;

use crate::{Error, Schema, Type};

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

    /// The columns that rows of this schema fill, in the schema's order.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), by name: a column that the table has not, that is generated, or that is given
    /// twice, in different case.
    pub fn given(&self, schema: &Schema) -> Result<Vec<&ColumnShape>, Error> {
        let table = &self.table;
        let (mut given, mut missing) = (Vec::<&ColumnShape>::new(), Vec::new());
        for column in schema.columns() {
            match self.column(&column.name) {
                Some(known) if known.generated => {
                    let name = &known.name;
                    return Err(Error::invalid(format!(
                        "{table}: column {name:?} is generated and takes no values"
                    )));
                }
                Some(known) if given.iter().any(|earlier| earlier.name == known.name) => {
                    let name = &known.name;
                    return Err(Error::invalid(format!(
                        "{table}: column {name:?} is given twice, in different case"
                    )));
                }
                Some(known) => given.push(known),
                None => missing.push(format!("{:?}", column.name)),
            }
        }
        if missing.is_empty() {
            return Ok(given);
        }
        Err(Error::invalid(format!(
            "table {table} has no column {}; add it, or leave it out",
            missing.join(", ")
        )))
    }

    /// The destination's key as this table's columns. Whether it is one of [`keys`](TableShape::keys) is not looked at.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): there is none, it has a column that the table has not, or one that is not
    /// `given`.
    pub fn key(&self, destination: &Destination, given: &[&ColumnShape]) -> Result<Vec<String>, Error> {
        let (table, mode) = (&destination.table, destination.mode.name());
        if destination.key.is_empty() {
            return Err(Error::invalid(format!(
                "mode {mode} needs a key: name the columns that tell one row from another"
            )));
        }
        let mut key = Vec::new();
        for name in &destination.key {
            let column = self.column(name).ok_or_else(|| {
                Error::invalid(format!(
                    "table {table} has no column {name:?}, which is to be part of the key"
                ))
            })?;
            if !given.iter().any(|given| given.name == column.name) {
                return Err(Error::invalid(format!(
                    "the rows have no column {name:?}, which is part of the key"
                )));
            }
            key.push(column.name.clone());
        }
        Ok(key)
    }

    /// Whether rows are told apart by these columns, in whatever order.
    #[must_use]
    pub fn has_key(&self, key: &[String]) -> bool {
        self.keys.iter().any(|unique| is_same_set(unique, key))
    }
}

fn is_same_set(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|name| other.contains(name))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Column;

    fn shape() -> TableShape {
        let column = |name: &str, generated| ColumnShape {
            name: name.to_owned(),
            kind: Type::Int8,
            declared: "bigint".to_owned(),
            nullable: true,
            has_default: false,
            generated,
        };
        TableShape {
            table: TableName::new("t"),
            columns: vec![column("Id", false), column("a", false), column("A", false), column("sum", true)],
            keys: vec![vec!["Id".to_owned(), "a".to_owned()]],
        }
    }

    fn given(names: &[&str]) -> Result<Vec<String>, String> {
        let schema = Schema::new(names.iter().map(|name| Column::new(*name, Type::Int8)).collect()).unwrap();
        let shape = shape();
        let given = shape.given(&schema).map_err(|error| error.to_string())?;
        Ok(given.iter().map(|column| column.name.clone()).collect())
    }

    #[test]
    fn columns_are_found_by_name_and_else_in_other_case() {
        assert_eq!(given(&["A", "id", "a"]).unwrap(), ["A", "Id", "a"]);
        for (names, said) in [
            (&["x", "Id", "y"][..], "no column \"x\", \"y\""),
            (&["SUM"], "\"sum\" is generated"),
            (&["id", "ID"], "\"Id\" is given twice"),
        ] {
            let error = given(names).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_key_is_of_given_columns() {
        let shape = shape();
        let all: Vec<&ColumnShape> = shape.columns.iter().take(2).collect();
        let key = |names: &[&str], given: &[&ColumnShape]| {
            let key = names.iter().map(|name| (*name).to_owned()).collect();
            let to = Destination { table: TableName::new("t"), mode: Mode::Upsert, key };
            shape.key(&to, given).map_err(|error| error.to_string())
        };
        let found = key(&["a", "ID"], &all).unwrap();
        assert_eq!(found, ["a", "Id"]);
        assert!(shape.has_key(&found) && !shape.has_key(&found[1..]));
        assert!(key(&[], &all).unwrap_err().contains("upsert needs a key"));
        assert!(key(&["x"], &all).unwrap_err().contains("no column \"x\""));
        assert!(key(&["a"], &all[..1]).unwrap_err().contains("the rows have no column \"a\""));
    }
}
