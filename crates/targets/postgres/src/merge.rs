//! Rows that meet others with the same key.

use std::fmt::Write;

use standpipe_core::{Destination, Error, Mode};

use crate::{
    keys::KeyOrder,
    kind::Class,
    name::{quoted, quoted_list, quoted_table},
    planted::{self, Plant},
    table::{Found, FoundColumn, Index},
};

/// The statement by which rows of a source go into a table that may have their keys, or whose policies COPY does not go by.
pub(crate) struct Merge {
    /// The key's columns as the table has them.
    pub(crate) key: Vec<String>,
    /// `INSERT INTO table (columns)`
    head: String,
    /// The given columns, in quotes.
    pub(crate) names: String,
    /// What each is an array of, on its way within a statement.
    pub(crate) sent: Vec<String>,
    /// The given columns out of what was sent, where some have to be read from text first.
    pub(crate) picked: Option<String>,
    /// What numbers the rows of a source; in quotes, and no column of the table.
    pub(crate) number: String,
    /// `ON CONFLICT ..`
    conflict: String,
    key_list: String,
    order: Order,
    /// The table that rows wait in, in quotes under its schema; and its own name, as error contexts have it.
    pub(crate) stage: String,
    pub(crate) stage_relation: String,
    pub(crate) make_stage: String,
}

/// How the rows of a statement are put in order.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// By key, which keeps parallel writers from waiting on each other; of a key that comes twice the last row.
    LastOfEachKey,
    /// By key; of a key that comes twice, if one does, the first row is inserted.
    ByKey,
    /// As they came: another unique index makes the order matter, and no row may be left out before it had its turn.
    AsTheyCame,
}

impl Merge {
    pub(crate) fn find(
        found: &Found,
        destination: &Destination,
        given: &[&FoundColumn],
    ) -> Result<Option<Self>, Error> {
        let is_append = destination.mode == Mode::Append;
        if is_append && !found.has_policies {
            return Ok(None);
        }
        let key = if is_append { Vec::new() } else { key_columns(found, destination, given)? };
        let table = quoted_table(&found.name)?;
        let names = quoted_list(given.iter().map(|column| column.name.as_str()))?;
        let key_list = quoted_list(key.iter().map(String::as_str))?;
        let is_key = |index: &Index| {
            index.key.as_ref().is_some_and(|unique| {
                unique.len() == key.len() && unique.iter().all(|name| key.contains(name))
            })
        };
        let has_other_unique = found.indexes.iter().any(|index| !is_key(index))
            && !planted::is(Plant::SecondUniqueIgnored)
            || planted::is(Plant::NoReduction)
            || planted::is(Plant::KeysUnordered);
        let order = match destination.mode {
            _ if has_other_unique || is_append => Order::AsTheyCame,
            Mode::Ignore => Order::ByKey,
            _ => Order::LastOfEachKey,
        };
        let types: Vec<String> = given.iter().map(|column| column.kind.declared.clone()).collect();
        let is_taken_apart =
            |column: &FoundColumn| matches!(column.kind.class, Class::Array | Class::Composite);
        let picked = if given.iter().any(|column| is_taken_apart(column) || column.collation.is_some()) {
            let pick = |column: &&FoundColumn| {
                let (name, kind) = (quoted(&column.name)?, &column.kind.bare);
                let kind = if is_taken_apart(column) { format!("::{kind}") } else { String::new() };
                let collation = column.collation.as_ref().map(|name| format!(" COLLATE {name}"));
                Ok(format!("{name}{kind}{} AS {name}", collation.unwrap_or_default()))
            };
            Some(given.iter().map(pick).collect::<Result<Vec<String>, Error>>()?.join(", "))
        } else {
            None
        };
        let sent = given.iter().map(|column| match is_taken_apart(column) {
            true => "text".to_owned(),
            false => column.kind.bare.clone(),
        });
        // Made once for a session, but for types that somebody may want to drop.
        let at_commit =
            if given.iter().all(|column| column.kind.is_built_in) { "DELETE ROWS" } else { "DROP" };
        let mut number = "standpipe row".to_owned();
        while found.column(&number).is_some() {
            number.push('_');
        }
        let number = quoted(&number)?;
        // Under its schema: whoever has made a table of this name must not get the rows.
        let stage_relation = format!("standpipe_stage_{:016x}", fingerprint(&table, &names, &types));
        let stage = format!("pg_temp.{}", quoted(&stage_relation)?);
        Ok(Some(Merge {
            head: format!("INSERT INTO {table} ({names})"),
            conflict: if is_append {
                String::new()
            } else {
                conflict(found, destination, given, &key, &key_list)?
            },
            make_stage: format!(
                "CREATE TEMPORARY TABLE IF NOT EXISTS {stage} ON COMMIT {at_commit} AS SELECT {names}, 0 AS {number} FROM {table} WITH NO DATA"
            ),
            sent: sent.collect(),
            picked,
            number,
            stage,
            stage_relation,
            names,
            key_list,
            order,
            key,
        }))
    }

    /// Merges the rows of `source`, a FROM item with the columns and the rows' number. `condition` restricts them. `keys` is how
    /// those of the source lie: what is known need not be sorted.
    pub(crate) fn statement(&self, source: &str, condition: &str, keys: KeyOrder) -> String {
        let Merge { head, names, conflict, key_list, number, .. } = self;
        let mut sql = String::with_capacity(source.len() + names.len() * 2 + 400);
        let order = if keys == KeyOrder::Ascending { Order::AsTheyCame } else { self.order };
        let _ = match order {
            Order::LastOfEachKey if keys == KeyOrder::EachOnce => {
                write!(sql, "{head} SELECT {names} FROM {source}{condition} ORDER BY {key_list}{conflict}")
            }
            Order::LastOfEachKey => write!(
                sql,
                "{head} SELECT DISTINCT ON ({key_list}) {names} FROM {source}{condition} ORDER BY {key_list}, {number} DESC{conflict}"
            ),
            Order::ByKey => {
                write!(
                    sql,
                    "{head} SELECT {names} FROM {source}{condition} ORDER BY {key_list}, {number}{conflict}"
                )
            }
            Order::AsTheyCame => {
                write!(sql, "{head} SELECT {names} FROM {source}{condition} ORDER BY {number}{conflict}")
            }
        };
        sql
    }
}

fn conflict(
    found: &Found,
    destination: &Destination,
    given: &[&FoundColumn],
    key: &[String],
    key_list: &str,
) -> Result<String, Error> {
    let is_given = |column: &FoundColumn| given.iter().any(|given| given.name == column.name);
    let set: Vec<&str> = match destination.mode {
        Mode::Upsert => given.iter().map(|column| column.name.as_str()).collect(),
        // `excluded` has the default of what was not given. An identity, not given, is not the row's content: it stays.
        Mode::Replace => found
            .columns
            .iter()
            .filter(|column| !column.generated && (!column.is_identity || is_given(column)))
            .map(|column| column.name.as_str())
            .collect(),
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
    Ok(format!(" ON CONFLICT ({key_list}) {action}"))
}

fn key_columns(
    found: &Found,
    destination: &Destination,
    given: &[&FoundColumn],
) -> Result<Vec<String>, Error> {
    let (table, mode) = (&destination.table, destination.mode.name());
    let shape = found.shape(table);
    let given: Vec<_> = given.iter().filter_map(|column| shape.column(&column.name)).collect();
    let key = shape.key(destination, &given)?;
    if shape.has_key(&key) {
        return Ok(key);
    }
    let columns = quoted_list(key.iter().map(String::as_str))?;
    Err(Error::invalid(format!(
        "mode {mode}: ({columns}) is no primary or unique key of table {table} (of all rows, checked at once); make it \
         one: CREATE UNIQUE INDEX ON {} ({columns})",
        quoted_table(&found.name)?,
    )))
}

/// Stands for the table and the columns in the stage's name: other columns, another stage.
fn fingerprint(table: &str, names: &str, types: &[String]) -> u64 {
    // The last part is that of the stage's own form: another one, another table.
    xxhash_rust::xxh3::xxh3_64(format!("{table}\0{names}\0{}\0numbered", types.join("\0")).as_bytes())
}
