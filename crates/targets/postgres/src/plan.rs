//! How the rows of one schema go to one destination.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use standpipe_core::{Destination, Error, Schema};

use crate::{
    field::Way,
    keys::Keys,
    limit::Limit,
    merge::Merge,
    name::{quoted_list, quoted_table},
    table::{Found, FoundColumn, mark_query},
};

/// Batches without a bad row until a table counts as clean again.
const SUSPECTED_BATCHES: u32 = 16;

pub(crate) struct Plan {
    /// The table in quotes, under its schema.
    pub(crate) table: String,
    /// The table's own name, as error contexts have it.
    pub(crate) relation: String,
    pub(crate) ways: Vec<Way>,
    pub(crate) form: Form,
    /// Copies into the table itself.
    pub(crate) copy: String,
    /// For every mode but append, and for a table with policies.
    pub(crate) merge: Option<Merge>,
    /// What to see of the keys before they are merged.
    pub(crate) keys: Option<Keys>,
    /// What the plan was made for: when this changes, so does the plan.
    pub(crate) found: Found,
    /// Asks for the table's mark.
    pub(crate) mark_query: String,
    suspected: AtomicU32,
    stale: AtomicBool,
}

/// How rows are sent in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The block's bytes as they are.
    Untouched,
    /// As COPY BINARY, some fields converted.
    Binary,
    /// As COPY's text format: some columns are of types that the server reads better than we do.
    Text,
}

impl Form {
    pub(crate) fn options(self) -> &'static str {
        match self {
            Form::Untouched | Form::Binary => "(FORMAT binary)",
            Form::Text => "(FORMAT text)",
        }
    }
}

impl Plan {
    pub(crate) fn make(found: Found, destination: &Destination, schema: &Schema) -> Result<Self, Error> {
        let given = given_columns(&found, destination, schema)?;
        let merge = Merge::find(&found, destination, &given)?;
        let mut ways = Vec::with_capacity(given.len());
        for (column, from) in given.iter().zip(schema.columns()) {
            let mut way = Way::find(from.kind, &column.kind).ok_or_else(|| {
                Error::invalid(format!(
                    "{}: column {:?} is {}, and the rows bring {}, which cannot be kept there without loss",
                    destination.table, column.name, column.kind.declared, from.kind
                ))
                .with_code("42804")
            })?;
            way.limit = Limit::of(from.kind, &column.kind);
            let in_key = merge.as_ref().is_some_and(|merge| merge.key.contains(&column.name));
            // A primary key refuses NULL by itself; a unique one would take the row as new each time.
            way.null = (in_key && column.nullable).then_some("the key is NULL");
            ways.push(way);
        }
        let form = if ways.iter().all(Way::is_untouched) {
            Form::Untouched
        } else if ways.iter().all(|way| way.read.is_none()) {
            Form::Binary
        } else {
            Form::Text
        };
        let table = quoted_table(&found.name)?;
        let names = quoted_list(given.iter().map(|column| column.name.as_str()))?;
        Ok(Plan {
            copy: format!("COPY {table} ({names}) FROM STDIN {}", form.options()),
            relation: found.name.name.clone(),
            mark_query: mark_query(&table),
            keys: merge
                .as_ref()
                .filter(|merge| !merge.key.is_empty())
                .and_then(|merge| Keys::of(&merge.key, &given, schema)),
            merge,
            table,
            ways,
            form,
            found,
            suspected: AtomicU32::new(0),
            stale: AtomicBool::new(false),
        })
    }

    /// The table is another by now: no row is written by this plan any more.
    pub(crate) fn set_stale(&self) {
        self.stale.store(true, Ordering::Release);
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// Whether bad rows were seen lately: then a batch goes in parts, so that one bad row costs a part and not the batch.
    pub(crate) fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed) > 0
    }

    /// Takes note of how a batch went.
    pub(crate) fn learn(&self, found_bad_rows: bool) {
        let left = self.suspected.load(Ordering::Relaxed);
        let next = if found_bad_rows { SUSPECTED_BATCHES } else { left.saturating_sub(1) };
        if next != left {
            self.suspected.store(next, Ordering::Relaxed);
        }
    }
}

/// The table's columns in the order of the block's.
fn given_columns<'a>(
    found: &'a Found,
    destination: &Destination,
    schema: &Schema,
) -> Result<Vec<&'a FoundColumn>, Error> {
    let shape = found.shape(&destination.table);
    let given = shape.given(schema).map_err(|error| {
        let lacks = schema.columns().iter().any(|column| shape.column(&column.name).is_none());
        if lacks { error.with_code("42703") } else { error }
    })?;
    Ok(given.iter().filter_map(|column| found.column(&column.name)).collect())
}
