use standpipe_core::{Error, TableName};

/// A name as SQL has it.
pub(crate) fn quoted(name: &str) -> Result<String, Error> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::invalid(format!("{name:?} is no name that SQLite can hold")));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// The table's own name: a database file has no schemas but its own, `main`.
pub(crate) fn table_name(table: &TableName) -> Result<&str, Error> {
    match table.schema.as_deref() {
        None => Ok(&table.name),
        Some(schema) if schema.eq_ignore_ascii_case("main") => Ok(&table.name),
        Some(schema) => Err(Error::invalid(format!(
            "{table}: a SQLite file has no schema {schema:?}; name the table without it"
        ))),
    }
}

/// A table as SQL has it.
pub(crate) fn quoted_table(table: &TableName) -> Result<String, Error> {
    Ok(format!("main.{}", quoted(table_name(table)?)?))
}

/// Names as an SQL list.
pub(crate) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String, Error> {
    let names: Result<Vec<String>, Error> = names.into_iter().map(quoted).collect();
    Ok(names?.join(", "))
}
