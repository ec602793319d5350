//! The statements by which the rows of one schema go to one destination.

use std::sync::Arc;

use rusqlite::Connection;
use standpipe_core::{ColumnShape, Destination, Error, Mode, Schema, Type};

use crate::{
    name::{quoted, quoted_list, quoted_table},
    table::{Found, absent, find},
    worker::WorkError,
};

/// Parameters that one statement may have, as SQLite is built by default.
const PARAMETERS_MAX: usize = 32_766;
/// Rows of one statement. Measured: 18 % faster than one; beyond it gets slower again.
const ROWS_MAX: usize = 16;
/// Plans that are kept.
const PLANS_MAX: usize = 64;

pub(crate) struct Plan {
    pub(crate) table: String,
    pub(crate) table_name: String,
    /// Inserts `rows` rows.
    pub(crate) many: String,
    /// Inserts one.
    pub(crate) one: String,
    pub(crate) rows: usize,
    /// What to look for in each field; `None` where SQLite itself refuses all that is to be refused.
    pub(crate) looks: Option<Box<[Look]>>,
    pub(crate) has_triggers: bool,
}

/// What SQLite would take in a field and keep as something else.
pub(crate) struct Look {
    /// Why NULL is refused, if it is.
    pub(crate) null: Option<&'static str>,
    /// NaN would be kept as NULL.
    pub(crate) is_float: bool,
}

/// The plans of a connection, for the schema of the database that they were made for.
#[derive(Default)]
pub(crate) struct Plans {
    schema_version: i64,
    plans: Vec<(Arc<Destination>, Arc<Schema>, Arc<Plan>)>,
}

impl Plans {
    /// The plan for blocks of this schema, made anew when a table may have changed.
    pub(crate) fn plan(
        &mut self,
        connection: &Connection,
        destination: &Arc<Destination>,
        schema: &Arc<Schema>,
    ) -> Result<Arc<Plan>, WorkError> {
        let version: i64 =
            connection.prepare_cached("PRAGMA main.schema_version")?.query_row([], |row| row.get(0))?;
        if version != self.schema_version || self.plans.len() >= PLANS_MAX {
            self.plans.clear();
            self.schema_version = version;
        }
        let known = self.plans.iter().find(|(known, of, _)| {
            (Arc::ptr_eq(known, destination) || known == destination)
                && (Arc::ptr_eq(of, schema) || of == schema)
        });
        if let Some((_, _, plan)) = known {
            return Ok(Arc::clone(plan));
        }
        let found = find(connection, &destination.table)?.ok_or_else(|| absent(&destination.table))?;
        let plan = Arc::new(make(&found, destination, schema)?);
        self.plans.push((Arc::clone(destination), Arc::clone(schema), Arc::clone(&plan)));
        Ok(plan)
    }
}

fn make(found: &Found, destination: &Destination, schema: &Schema) -> Result<Plan, Error> {
    let given = found.shape.given(schema)?;
    let table = quoted_table(&found.shape.table)?;
    let names = quoted_list(given.iter().map(|column| column.name.as_str()))?;
    let (key, conflict) = conflict(found, destination, &given)?;
    let row = format!("({})", vec!["?"; given.len()].join(", "));
    let statement = |rows: usize| {
        // OR ABORT: whatever a constraint of the table says, a statement that fails leaves nothing behind.
        format!(
            "INSERT OR ABORT INTO {table} ({names}) VALUES {}{conflict}",
            vec![row.as_str(); rows].join(", ")
        )
    };
    let rows = (PARAMETERS_MAX / given.len()).clamp(1, ROWS_MAX);
    let looks = given.iter().zip(schema.columns()).map(|(column, given)| Look {
        null: if key.contains(&column.name) {
            Some("the key is NULL")
        } else if !column.nullable && found.row_number.as_ref() == Some(&column.name) {
            Some("the column must not be NULL")
        } else {
            None
        },
        is_float: matches!(given.kind, Type::Float4 | Type::Float8),
    });
    let looks: Box<[Look]> = looks.collect();
    Ok(Plan {
        many: statement(rows),
        one: statement(1),
        rows,
        looks: Some(looks).filter(|looks| looks.iter().any(|look| look.null.is_some() || look.is_float)),
        has_triggers: found.has_triggers,
        table_name: found.shape.table.name.clone(),
        table,
    })
}

/// The key's columns as the table has them, and the clause that says what a row does to one with the same key.
fn conflict<'a>(
    found: &'a Found,
    destination: &Destination,
    given: &[&'a ColumnShape],
) -> Result<(Vec<String>, String), Error> {
    if destination.mode == Mode::Append {
        return Ok((Vec::new(), String::new()));
    }
    let key = key_columns(found, destination, given)?;
    let target = quoted_list(key.iter().map(String::as_str))?;
    let set: Vec<&str> = match destination.mode {
        Mode::Upsert => given.iter().map(|column| column.name.as_str()).collect(),
        // `excluded` has the default of what was not given. The row's number, not given, is not its content: it stays.
        Mode::Replace => {
            let is_given = |name: &str| given.iter().any(|column| column.name == name);
            let number = found.row_number.as_deref().filter(|name| !is_given(name));
            let all = found.shape.columns.iter().filter(|column| !column.generated);
            all.map(|column| column.name.as_str()).filter(|name| Some(*name) != number).collect()
        }
        _ => Vec::new(),
    };
    let mut assignments = Vec::new();
    for name in set.into_iter().filter(|name| !key.iter().any(|part| part == name)) {
        let name = quoted(name)?;
        assignments.push(format!("{name} = excluded.{name}"));
    }
    let action = if assignments.is_empty() {
        "DO NOTHING".to_owned()
    } else {
        format!("DO UPDATE SET {}", assignments.join(", "))
    };
    Ok((key, format!(" ON CONFLICT ({target}) {action}")))
}

fn key_columns(
    found: &Found,
    destination: &Destination,
    given: &[&ColumnShape],
) -> Result<Vec<String>, Error> {
    let (table, mode) = (&destination.table, destination.mode.name());
    let key = found.shape.key(destination, given)?;
    if found.shape.has_key(&key) {
        return Ok(key);
    }
    let columns = quoted_list(key.iter().map(String::as_str))?;
    Err(Error::invalid(format!(
        "mode {mode}: ({columns}) is no primary or unique key of table {table}; make it one: CREATE UNIQUE INDEX {} ON {} ({columns})",
        quoted(&format!("{}_key", found.shape.table.name))?,
        quoted(&found.shape.table.name)?,
    )))
}
