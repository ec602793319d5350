use std::{collections::HashMap, path::Path};

use rusqlite::{Connection, OpenFlags, types::ValueRef};

use super::source::Source;

/// How a table differs from its source.
#[derive(Default)]
pub(crate) struct Difference {
    pub(crate) rows: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
}

/// Compares a table with the source, row by row: each record once, in the source's order.
pub(crate) fn table(database: &Path, table: &str, source: &Source) -> Result<Difference, String> {
    let failed = |error: rusqlite::Error| format!("{}: {error}", database.display());
    let connection =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let mut statement =
        connection.prepare(&format!("SELECT * FROM {table} ORDER BY rowid")).map_err(failed)?;
    let columns = statement.column_count();
    let mut expected: HashMap<Vec<String>, u64> = HashMap::new();
    let mut in_order = Vec::with_capacity(source.records.len());
    for record in &source.records {
        let fields: Vec<String> = record.split(',').map(canonical).collect();
        *expected.entry(fields.clone()).or_default() += 1;
        in_order.push(fields);
    }
    let mut difference = Difference::default();
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let fields: Vec<String> = (0..columns)
            .map(|index| row.get_ref(index).map(shown))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        if in_order.get(difference.rows as usize) != Some(&fields) {
            difference.reordered += 1;
        }
        difference.rows += 1;
        match expected.get_mut(&fields) {
            Some(left) if *left > 0 => *left -= 1,
            // Once too often, or never in the source: either way it should not be there.
            _ => difference.duplicated += 1,
        }
    }
    difference.lost = expected.values().sum();
    Ok(difference)
}

/// A field of the source as it should be in the table: `517.0` is the number 517.
fn canonical(field: &str) -> String {
    match field.strip_suffix(".0") {
        Some(whole)
            if !whole.is_empty() && whole.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit()) =>
        {
            whole.to_owned()
        }
        _ => field.to_owned(),
    }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}
