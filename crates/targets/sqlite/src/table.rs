//! Tables as they are, and making them.

use rusqlite::{Connection, OptionalExtension, Row};
use standpipe_core::{Column, ColumnShape, Error, Schema, TableName, TableShape, Type};

use crate::{
    kind,
    name::{quoted, quoted_list, quoted_table, table_name},
    worker::{WorkError, Worker},
};

/// A table and what loading needs to know beyond its shape.
pub(crate) struct Found {
    pub(crate) shape: TableShape,
    /// The column that is the row's number: NULL there asks for the next one.
    pub(crate) row_number: Option<String>,
    /// Triggers may keep a part of a statement that failed.
    pub(crate) has_triggers: bool,
}

struct ListedColumn {
    shape: ColumnShape,
    key_place: u32,
}

/// The table as this connection's transaction sees it.
pub(crate) fn find(connection: &Connection, table: &TableName) -> Result<Option<Found>, WorkError> {
    let query =
        "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
    let mut statement = connection.prepare_cached(query)?;
    let listed = statement.query_row([table_name(table)?], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?))
    });
    let Some((name, what, without_rowid)) = listed.optional()? else { return Ok(None) };
    if what == "view" {
        return Err(
            Error::invalid(format!("{table} is a view and takes no rows; name the table behind it")).into()
        );
    }
    let columns = columns(connection, &name)?;
    let mut primary: Vec<&ListedColumn> = columns.iter().filter(|column| column.key_place > 0).collect();
    primary.sort_by_key(|column| column.key_place);
    let primary: Vec<String> = primary.into_iter().map(|column| column.shape.name.clone()).collect();
    let (unique, primary_has_index) = unique_keys(connection, &name, &primary)?;
    let is_row_number = |column: &ListedColumn| {
        primary.len() == 1
            && column.key_place == 1
            && !without_rowid
            && !primary_has_index
            && column.shape.declared.eq_ignore_ascii_case("integer")
    };
    let row_number =
        columns.iter().find(|column| is_row_number(column)).map(|column| column.shape.name.clone());
    let mut shapes: Vec<ColumnShape> = columns.into_iter().map(|column| column.shape).collect();
    for shape in &mut shapes {
        shape.has_default |= row_number.as_ref() == Some(&shape.name);
    }
    let keys = Some(primary).filter(|key| !key.is_empty()).into_iter().chain(unique).collect();
    let triggers = "SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE";
    let has_triggers = connection.prepare_cached(triggers)?.exists([&name])?;
    let shape = TableShape { table: TableName { schema: table.schema.clone(), name }, columns: shapes, keys };
    Ok(Some(Found { shape, row_number, has_triggers }))
}

pub(crate) fn create(
    worker: &mut Worker,
    table: &TableName,
    schema: &Schema,
    key: &[String],
) -> Result<(), Error> {
    let statement = create_statement(table, schema, key)?;
    if exists(worker, table)? {
        return Ok(());
    }
    let made = worker.transaction("creating the table", |transaction, _| {
        transaction.execute_batch(&statement)?;
        Ok(Some(()))
    });
    made.map(drop)
}

pub(crate) fn add_column(worker: &mut Worker, table: &TableName, column: &Column) -> Result<(), Error> {
    let statement = format!("ALTER TABLE {} ADD COLUMN {}", quoted_table(table)?, definition(column, false)?);
    let added = worker.transaction("adding a column", |transaction, _| {
        let Some(found) = find(transaction, table)? else { return Err(absent(table).into()) };
        if found.shape.column(&column.name).is_some() {
            return Ok(None);
        }
        if !column.nullable {
            return Err(Error::invalid(format!(
                "{table}: SQLite adds no column that must not be NULL and has no default; make {:?} nullable",
                column.name
            ))
            .into());
        }
        transaction.execute_batch(&statement)?;
        Ok(Some(()))
    });
    added.map(drop)
}

pub(crate) fn describe(worker: &mut Worker, table: &TableName) -> Result<Option<TableShape>, Error> {
    let found =
        find(&worker.connection, table).map_err(|error| worker.explain(error, "describing the table"))?;
    Ok(found.map(|found| found.shape))
}

pub(crate) fn absent(table: &TableName) -> Error {
    Error::invalid(format!("there is no table {table}; create it first"))
}

fn exists(worker: &mut Worker, table: &TableName) -> Result<bool, Error> {
    let query =
        "SELECT 1 FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";
    let found =
        worker.connection.prepare_cached(query).and_then(|mut statement| statement.exists([&table.name]));
    found.map_err(|error| worker.refused(error, "looking for the table"))
}

fn create_statement(table: &TableName, schema: &Schema, key: &[String]) -> Result<String, Error> {
    if let Some(missing) = key.iter().find(|name| schema.index_of(name).is_none()) {
        return Err(Error::invalid(format!("the key's column {missing:?} is not among the table's columns")));
    }
    let mut parts = Vec::with_capacity(schema.columns().len() + 1);
    for column in schema.columns() {
        // SQLite alone lets NULL into a primary key.
        parts.push(format!("    {}", definition(column, key.contains(&column.name))?));
    }
    if !key.is_empty() {
        parts.push(format!("    PRIMARY KEY ({})", quoted_list(key.iter().map(String::as_str))?));
    }
    Ok(format!("CREATE TABLE IF NOT EXISTS {} (\n{}\n)", quoted_table(table)?, parts.join(",\n")))
}

fn definition(column: &Column, in_key: bool) -> Result<String, Error> {
    let not_null = if column.nullable && !in_key { "" } else { " NOT NULL" };
    Ok(format!("{} {}{not_null}", quoted(&column.name)?, kind::declared(column.kind)))
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<ListedColumn>, rusqlite::Error> {
    // Hidden columns (1) belong to virtual tables; 2 and 3 are generated.
    let query = "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden \
                 FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1 ORDER BY cid";
    let mut statement = connection.prepare_cached(query)?;
    let listed = statement.query_map([table], |row: &Row<'_>| {
        let declared: String = row.get(1)?;
        let kind: Type = kind::of(&declared);
        let shape = ColumnShape {
            name: row.get(0)?,
            kind,
            declared,
            nullable: !row.get::<_, bool>(2)?,
            has_default: row.get(3)?,
            generated: row.get::<_, i64>(5)? > 1,
        };
        Ok(ListedColumn { shape, key_place: row.get(4)? })
    })?;
    listed.collect()
}

/// The keys beside the primary one, and whether that has an index of its own.
fn unique_keys(
    connection: &Connection,
    table: &str,
    primary: &[String],
) -> Result<(Vec<Vec<String>>, bool), rusqlite::Error> {
    let query = "SELECT name, origin FROM pragma_index_list(?1, 'main') WHERE \"unique\" AND NOT partial ORDER BY seq";
    let mut statement = connection.prepare_cached(query)?;
    let indexes =
        statement.query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let (mut keys, mut primary_has_index) = (Vec::new(), false);
    for index in indexes {
        let (index, origin) = index?;
        primary_has_index |= origin == "pk";
        // An index on an expression has no column's name there, and cannot be named by columns.
        let parts = "SELECT name FROM pragma_index_info(?1, 'main') ORDER BY seqno";
        let mut statement = connection.prepare_cached(parts)?;
        let names = statement.query_map([&index], |row| row.get::<_, Option<String>>(0))?;
        if let Some(key) = names.collect::<Result<Option<Vec<String>>, _>>()?
            && key != primary
        {
            keys.push(key);
        }
    }
    Ok((keys, primary_has_index))
}
