//! Tables as they are, and making them.

use standpipe_core::{Column, ColumnShape, Error, ErrorKind, Schema, TableName, TableShape};

use crate::{
    error::{Failure, Refusal},
    kind::{Class, PgType, declared},
    link::{Answer, Link},
    name::{literal, quoted, quoted_list, quoted_table},
};

/// A table and what loading needs to know beyond its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Under the schema where it was found.
    pub(crate) name: TableName,
    pub(crate) columns: Vec<FoundColumn>,
    /// Unique indexes and exclusion constraints, the primary key first.
    pub(crate) indexes: Vec<Index>,
    /// Policies apply to this role: COPY does not go by them and is refused.
    pub(crate) has_policies: bool,
    /// Stands for all of this: when the table is changed, so is its mark.
    pub(crate) mark: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundColumn {
    pub(crate) name: String,
    pub(crate) kind: PgType,
    pub(crate) nullable: bool,
    pub(crate) has_default: bool,
    /// `GENERATED ALWAYS`, as an expression or as identity.
    pub(crate) generated: bool,
    pub(crate) is_identity: bool,
    /// A collation of somebody's own, as SQL names it: what it takes for the same, its type alone does not tell.
    pub(crate) collation: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) name: String,
    /// The key's columns, where the index is of columns alone, of all rows, and checked at once: what ON CONFLICT can name.
    pub(crate) key: Option<Vec<String>>,
}

impl Found {
    /// A column by its name; where none has it exactly, the one that has it in other case.
    pub(crate) fn column(&self, name: &str) -> Option<&FoundColumn> {
        let exact = self.columns.iter().find(|column| column.name == name);
        exact.or_else(|| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
    }

    pub(crate) fn shape(&self, table: &TableName) -> TableShape {
        let columns = self.columns.iter().map(|column| ColumnShape {
            name: column.name.clone(),
            kind: column.kind.kind(),
            declared: column.kind.declared.clone(),
            nullable: column.nullable,
            has_default: column.has_default,
            generated: column.generated,
        });
        let table = TableName { schema: table.schema.clone(), name: self.name.name.clone() };
        let keys = self.indexes.iter().filter_map(|index| index.key.clone()).collect();
        TableShape { table, columns: columns.collect(), keys }
    }
}

/// How often a table is looked at that is made meanwhile.
const LOOKS_MAX: u32 = 4;

/// The table as this connection's transaction sees it. One round trip.
pub(crate) async fn find(link: &mut Link, table: &TableName) -> Result<Option<Found>, Error> {
    let query = query(table)?;
    for _ in 0..LOOKS_MAX {
        let answer = link
            .ask(&query)
            .await
            .map_err(|failure| failure.explain(&format!("looking at table {table}")))?;
        if let Some(found) = read(&answer.rows, table)? {
            return Ok(found);
        }
    }
    Err(Error::retry(format!("table {table} is made and dropped all the time")))
}

/// The table, if it is there; `None` when it was made between the statements of the question, each of which sees what is there
/// when it begins.
fn read(rows: &[Vec<Option<String>>], table: &TableName) -> Result<Option<Option<Found>>, Error> {
    let mut found: Option<Found> = None;
    for row in rows {
        let text = |column| Answer::text(row, column);
        match (text(0)?, &mut found) {
            ("table", None) => {
                refuse_what_takes_no_rows(table, text(3)?, text(4)? == "true")?;
                refuse_foreign_parts(table, row.get(6).cloned().flatten())?;
                let name = TableName { schema: Some(text(1)?.to_owned()), name: text(2)?.to_owned() };
                let mark = text(5)?.to_owned();
                let has_policies = text(7)? == "true";
                found = Some(Found { name, columns: Vec::new(), indexes: Vec::new(), has_policies, mark });
            }
            ("column", Some(found)) => found.columns.push(column(row)?),
            ("index", Some(found)) => index(row, found)?,
            ("column" | "index", None) => return Ok(None),
            _ => {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    "the server's answer about a table is no such answer",
                ));
            }
        }
    }
    Ok(Some(found))
}

/// Of the table `c`: the transactions that last changed what describes its columns and indexes. Found before those are
/// looked at: a change in between shows as another mark later.
const MARK: &str = "pg_catalog.hashtextextended(c.oid::text || \
     EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type = '3')::text || \
     (c.relkind = 'p' AND EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) t \
       JOIN pg_catalog.pg_class p ON p.oid = t.relid WHERE p.relkind = 'f'))::text || \
     (SELECT coalesce(string_agg(a.attnum || ' ' || a.xmin, ',' ORDER BY a.attnum), '') \
       FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0) || \
     (SELECT coalesce(string_agg(concat_ws(' ', i.indexrelid, i.indisunique, i.indisexclusion, i.indimmediate, i.indisvalid, \
       i.indkey, i.indpred IS NULL, i.indexprs IS NULL), ',' ORDER BY i.indexrelid), '') \
       FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid), 0)::text";

/// Asks for a table's mark as it is now: one row, NULL where there is no such table.
pub(crate) fn mark_query(table: &str) -> String {
    format!(
        "SELECT (SELECT {MARK} FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass({}))",
        literal(table)
    )
}

/// Where the numbers of what users make begin (`FirstNormalObjectId`).
const FIRST_OWN_OID: u32 = 16_384;

/// The type that a column's domain is made of, through domains of domains, and its modifier.
const BASE_TYPE: &str = "WITH RECURSIVE d(oid, modifier, depth) AS (SELECT a.atttypid, a.atttypmod, 0 \
     UNION ALL SELECT t.typbasetype, t.typtypmod, d.depth + 1 FROM d \
       JOIN pg_catalog.pg_type t ON t.oid = d.oid WHERE t.typtype = 'd') \
     SELECT oid, modifier FROM d ORDER BY depth DESC LIMIT 1";

/// Of the table `c`: a partition that another server keeps.
const FOREIGN_PART: &str = "(SELECT min(t.relid::text) FROM pg_catalog.pg_partition_tree(c.oid) t \
     JOIN pg_catalog.pg_class p ON p.oid = t.relid WHERE c.relkind = 'p' AND p.relkind = 'f')";

fn query(table: &TableName) -> Result<String, Error> {
    let class = format!("pg_catalog.to_regclass({})", literal(&quoted_table(table)?));
    Ok(format!(
        "SELECT 'table', n.nspname::text, c.relname::text, c.relkind::text, \
           EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type = '3')::text, {MARK}, {FOREIGN_PART}, \
           pg_catalog.row_security_active(c.oid)::text \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {class}; \
         SELECT 'column', a.attname::text, b.oid::text, pg_catalog.format_type(a.atttypid, a.atttypmod), \
           b.typtype::text, b.typcategory::text, \
           d.modifier::text, (NOT a.attnotnull)::text, \
           (a.atthasdef OR a.attidentity <> '')::text, (a.attgenerated <> '' OR a.attidentity = 'a')::text, \
           (a.attidentity <> '')::text, pg_catalog.format_type(a.atttypid, -1), \
           (a.atttypid < {FIRST_OWN_OID} AND a.attcollation < {FIRST_OWN_OID})::text, \
           (SELECT pg_catalog.format('%I.%I', n.nspname, o.collname) FROM pg_catalog.pg_collation o \
             JOIN pg_catalog.pg_namespace n ON n.oid = o.collnamespace \
             WHERE o.oid = a.attcollation AND o.oid >= {FIRST_OWN_OID}) \
         FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL ({BASE_TYPE}) d JOIN pg_catalog.pg_type b ON b.oid = d.oid \
         WHERE a.attrelid = {class} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum; \
         SELECT 'index', c.relname::text, (i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL)::text, \
           a.attname::text \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
           CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, place) \
           LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
         WHERE i.indrelid = {class} AND (i.indisunique OR i.indisexclusion) AND i.indisvalid AND k.place <= i.indnkeyatts \
         ORDER BY NOT i.indisprimary, c.relname, k.place"
    ))
}

fn refuse_what_takes_no_rows(table: &TableName, kind: &str, has_rule: bool) -> Result<(), Error> {
    let what = match kind {
        "r" | "p" if has_rule => {
            "has a rule for INSERT, which COPY does not follow; drop the rule or make it a trigger"
        }
        "r" | "p" => return Ok(()),
        "f" => {
            "is a foreign table: another server commits its rows by itself, and the ledger would not go with them; write \
             to that server"
        }
        "v" if has_rule => {
            "is a view with a rule for INSERT, which COPY does not follow; name the table behind it"
        }
        "v" => "is a view and takes no rows; name the table behind it",
        "m" => "is a materialized view and takes no rows; name the table behind it",
        "S" => "is a sequence and takes no rows",
        _ => "is no table and takes no rows",
    };
    Err(Error::invalid(format!("{table} {what}")))
}

fn refuse_foreign_parts(table: &TableName, part: Option<String>) -> Result<(), Error> {
    let Some(part) = part else { return Ok(()) };
    Err(Error::invalid(format!(
        "{table} has the partition {part}, which is a foreign table: another server commits its rows by itself, and the ledger \
         would not go with them; detach it, or write to partitions by their own names"
    )))
}

fn column(row: &[Option<String>]) -> Result<FoundColumn, Error> {
    let text = |column| Answer::text(row, column);
    let is = |column| text(column).map(|text| text == "true");
    let number = || Error::new(ErrorKind::Corrupt, "the server's answer about a column has no number");
    let class = match (text(4)?, text(5)?) {
        ("e", _) => Class::Enum,
        ("c", _) => Class::Composite,
        (_, "A") => Class::Array,
        _ => Class::Base,
    };
    let kind = PgType {
        oid: text(2)?.parse().map_err(|_| number())?,
        declared: text(3)?.to_owned(),
        bare: text(11)?.to_owned(),
        is_built_in: is(12)?,
        class,
        modifier: text(6)?.parse().map_err(|_| number())?,
        element: None,
    };
    Ok(FoundColumn {
        name: text(1)?.to_owned(),
        kind,
        nullable: is(7)?,
        has_default: is(8)?,
        generated: is(9)?,
        is_identity: is(10)?,
        collation: row.get(13).cloned().flatten(),
    })
}

fn index(row: &[Option<String>], found: &mut Found) -> Result<(), Error> {
    let name = Answer::text(row, 1)?;
    let column = row.get(3).cloned().flatten();
    let is_plain = Answer::text(row, 2)? == "true" && column.is_some();
    match found.indexes.last_mut().filter(|last| last.name == name) {
        Some(last) => {
            last.key = last.key.take().filter(|_| is_plain);
            if let (Some(key), Some(column)) = (&mut last.key, column) {
                key.push(column);
            }
        }
        None => {
            let key = column.filter(|_| is_plain).map(|column| vec![column]);
            found.indexes.push(Index { name: name.to_owned(), key });
        }
    }
    Ok(())
}

pub(crate) fn absent(table: &TableName) -> Error {
    Error::invalid(format!("there is no table {table}; create it first"))
}

pub(crate) async fn create(
    link: &mut Link,
    begin: &str,
    table: &TableName,
    schema: &Schema,
    key: &[String],
) -> Result<(), Error> {
    if find(link, table).await?.is_some() {
        return Ok(());
    }
    let statement = create_statement(table, schema, key)?;
    match link.ask_alone(begin, &statement).await {
        Ok(_) => Ok(()),
        Err(Failure::Server(refusal)) if is_made_twice(&refusal) => match find(link, table).await? {
            Some(_) => Ok(()),
            // A column of the server's own name, such as ctid, is there twice as well.
            None => Err(refusal.explain(&format!("creating table {table}"))),
        },
        Err(Failure::Server(refusal)) if refusal.code == "42501" => Err(needs_rights(
            &refusal,
            &granted(&statement, &quoted_table(table)?, "SELECT, INSERT, UPDATE", link)?,
        )),
        Err(failure) => Err(failure.explain(&format!("creating table {table}"))),
    }
}

pub(crate) async fn add_column(
    link: &mut Link,
    begin: &str,
    table: &TableName,
    column: &Column,
) -> Result<(), Error> {
    let found = find(link, table).await?.ok_or_else(|| absent(table))?;
    if found.column(&column.name).is_some() {
        return Ok(());
    }
    let statement = format!(
        "ALTER TABLE {} ADD COLUMN IF NOT EXISTS {}",
        quoted_table(&found.name)?,
        definition(column, false)?
    );
    match link.ask_alone(begin, &statement).await {
        Ok(_) => Ok(()),
        Err(Failure::Server(refusal)) if is_made_twice(&refusal) => Ok(()),
        Err(Failure::Server(refusal)) if refusal.code == "42501" => Err(needs_rights(&refusal, &statement)),
        Err(failure) => Err(failure.explain(&format!("adding column {:?} to {table}", column.name))),
    }
}

/// Two who make the same thing at once: one of them meets the other's row in the catalogue, whatever IF NOT EXISTS says.
pub(crate) fn is_made_twice(refusal: &Refusal) -> bool {
    matches!(refusal.code.as_str(), "23505" | "42P07" | "42701" | "42710")
}

/// The role may not make it: somebody else has to, with exactly this.
pub(crate) fn needs_rights(refusal: &Refusal, statement: &str) -> Error {
    Error::invalid(format!("{}; have an owner run: {statement};", refusal.message))
        .with_code(refusal.code.clone())
}

/// What makes a table, and then lets this connection's role use it: whoever runs it owns the table.
pub(crate) fn granted(create: &str, table: &str, rights: &str, link: &Link) -> Result<String, Error> {
    Ok(format!("{create}; GRANT {rights} ON {table} TO {}", quoted(link.user())?))
}

fn create_statement(table: &TableName, schema: &Schema, key: &[String]) -> Result<String, Error> {
    if let Some(missing) = key.iter().find(|name| schema.index_of(name).is_none()) {
        return Err(Error::invalid(format!("the key's column {missing:?} is not among the table's columns")));
    }
    let mut parts = Vec::with_capacity(schema.columns().len() + 1);
    for column in schema.columns() {
        parts.push(format!("    {}", definition(column, key.contains(&column.name))?));
    }
    if !key.is_empty() {
        parts.push(format!("    PRIMARY KEY ({})", quoted_list(key.iter().map(String::as_str))?));
    }
    Ok(format!("CREATE TABLE IF NOT EXISTS {} (\n{}\n)", quoted_table(table)?, parts.join(",\n")))
}

fn definition(column: &Column, in_key: bool) -> Result<String, Error> {
    let not_null = if column.nullable && !in_key { "" } else { " NOT NULL" };
    Ok(format!("{} {}{not_null}", quoted(&column.name)?, declared(column.kind)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn row(values: &[&str]) -> Vec<Option<String>> {
        values.iter().map(|value| Some((*value).to_owned())).collect()
    }

    #[test]
    fn a_table_that_is_made_between_two_statements_is_looked_at_again() {
        let table = TableName::new("t");
        let is_there = row(&["table", "public", "t", "r", "false", "1", "", "false"]);
        let is_there: Vec<_> =
            is_there.into_iter().map(|value| value.filter(|value| !value.is_empty())).collect();
        let column = row(&[
            "column", "id", "20", "bigint", "b", "N", "-1", "false", "false", "false", "false", "bigint",
            "true",
        ]);
        assert_eq!(read(&[], &table).unwrap(), Some(None));
        assert_eq!(read(std::slice::from_ref(&column), &table).unwrap(), None);
        let found = read(&[is_there, column], &table).unwrap().unwrap().unwrap();
        assert_eq!((found.columns.len(), found.mark.as_str()), (1, "1"));
        assert!(read(&[row(&["what"])], &table).is_err());
    }
}
