use std::{collections::HashMap, sync::Arc};

use serde::de::IgnoredAny;
use standpipe_core::{
    Batch, Column, DeadLetter, Destination, Error, ErrorKind, Schema, TableName, TableShape, Target,
};
use standpipe_row::{BlockBuilder, JsonEncoder, NonFinite, RowError, UnknownField};

use super::LetterRetry;

/// Letters that are tried in one transaction, their rows encoded for the tables as they are now.
pub(crate) struct Page {
    /// Those that are tried, in the order of their ids.
    pub(crate) letters: Vec<DeadLetter>,
    /// Those whose rows are no JSON objects.
    pub(crate) unreadable: Vec<DeadLetter>,
    /// Those that fit no table as they are, by their place among `letters`, with the new reason.
    pub(crate) refused: Vec<(usize, DeadLetter)>,
    pub(crate) loads: Vec<Load>,
}

/// A batch, and the place among the page's letters of every row of every block.
pub(crate) struct Load {
    pub(crate) batch: Batch,
    pub(crate) rows: Vec<Vec<usize>>,
}

/// A table as it is now, or why rows cannot go there.
type Place = Result<Arc<TableShape>, String>;

impl Page {
    /// Looks at each table once.
    pub(crate) async fn of(
        target: &dyn Target,
        retry: &LetterRetry,
        letters: Vec<DeadLetter>,
    ) -> Result<Self, Error> {
        let mut page =
            Page { letters: Vec::new(), unreadable: Vec::new(), refused: Vec::new(), loads: Vec::new() };
        let mut places: HashMap<TableName, Place> = HashMap::new();
        let mut encoding = Encoding::default();
        for letter in letters {
            let Some(fields) = field_names(&letter.row) else {
                page.unreadable.push(letter);
                continue;
            };
            let table = retry.to_table.as_ref().unwrap_or(&letter.table);
            if !places.contains_key(table) {
                places.insert(table.clone(), look(target, table).await?);
            }
            let outcome = match &places[table] {
                Ok(shape) => encoding.put(&mut page, retry, shape, &letter, &fields),
                Err(reason) => Err(RowError::of_row(reason.clone())),
            };
            page.letters.push(letter);
            if let Err(fault) = outcome {
                let place = page.letters.len() - 1;
                page.refused.push((place, page.again(place, fault.column, None, fault.reason)));
            }
        }
        encoding.end_block(&mut page);
        Ok(page)
    }

    /// The letter at this place, refused for a new reason.
    pub(crate) fn again(
        &self,
        place: usize,
        column: Option<String>,
        code: Option<String>,
        reason: String,
    ) -> DeadLetter {
        DeadLetter { column, code, reason, ..self.letters[place].clone() }
    }
}

/// Only what concerns the connection is an error: a table that is gone keeps no letters of others from being tried.
async fn look(target: &dyn Target, table: &TableName) -> Result<Place, Error> {
    match target.describe(table).await {
        Ok(Some(shape)) => Ok(Ok(Arc::new(shape))),
        Ok(None) => Ok(Err(format!("there is no table {table}"))),
        Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Reject) => {
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

impl LetterRetry {
    /// Whether a retry can read the letter's row: it is a JSON object. A line of a file that could not be split into
    /// fields is none.
    #[must_use]
    pub fn can_read(letter: &DeadLetter) -> bool {
        field_names(&letter.row).is_some()
    }
}

/// The names of a JSON object's fields; `None` for anything else.
fn field_names(row: &[u8]) -> Option<HashMap<String, IgnoredAny>> {
    serde_json::from_slice(row).ok()
}

/// Rows of one table with the same columns make a block: columns that a row does not give get their defaults.
#[derive(Default)]
struct Encoding {
    encoders: HashMap<(TableName, Vec<usize>), (Arc<Schema>, JsonEncoder)>,
    open: Option<Open>,
}

struct Open {
    of: (TableName, Vec<usize>),
    builder: BlockBuilder,
}

/// What a block's buffer begins with: blocks may be many and small.
const BLOCK_BYTES: usize = 4 << 10;

impl Encoding {
    fn put(
        &mut self,
        page: &mut Page,
        retry: &LetterRetry,
        shape: &TableShape,
        letter: &DeadLetter,
        fields: &HashMap<String, IgnoredAny>,
    ) -> Result<(), RowError> {
        let of = (shape.table.clone(), columns(shape, fields)?);
        let is_next = page.loads.last().is_some_and(|load| {
            load.batch.lane == letter.lane && load.batch.destination.table == shape.table
        });
        if !is_next || self.open.as_ref().is_some_and(|open| open.of != of) {
            self.end_block(page);
        }
        if !is_next {
            page.loads.push(Load { batch: batch(retry, shape, letter), rows: Vec::new() });
        }
        let (schema, encoder) = match self.encoders.entry(of.clone()) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(encoder(shape, &of.1)?),
        };
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let mut builder = BlockBuilder::with_capacity(Arc::clone(schema), BLOCK_BYTES);
                // The target says whether it can hold them.
                builder.set_non_finite(NonFinite::Allow);
                if let Some(load) = page.loads.last_mut() {
                    load.rows.push(Vec::new());
                }
                none.insert(Open { of, builder })
            }
        };
        encoder.write(&letter.row, &mut open.builder)?;
        if let Some(rows) = page.loads.last_mut().and_then(|load| load.rows.last_mut()) {
            rows.push(page.letters.len());
        }
        Ok(())
    }

    fn end_block(&mut self, page: &mut Page) {
        if let (Some(mut open), Some(load)) = (self.open.take(), page.loads.last_mut()) {
            load.batch.blocks.push(open.builder.finish());
        }
    }
}

/// The table's columns that the row gives, in the table's order.
fn columns(shape: &TableShape, fields: &HashMap<String, IgnoredAny>) -> Result<Vec<usize>, RowError> {
    let fault = |column: &str, reason: &str| RowError {
        column: Some(column.chars().take(80).collect()),
        reason: reason.to_owned(),
    };
    let given: Vec<usize> =
        (0..shape.columns.len()).filter(|index| fields.contains_key(&shape.columns[*index].name)).collect();
    if given.len() < fields.len() {
        let is_known = |name: &String| shape.columns.iter().any(|column| column.name == *name);
        // The same one each time, so that a reason changes only when the table does.
        let unknown = fields.keys().filter(|name| !is_known(name)).min();
        return Err(fault(unknown.map_or("", |name| name), "the table has no such column"));
    }
    if let Some(index) = given.iter().find(|index| shape.columns[**index].generated) {
        return Err(fault(
            &shape.columns[*index].name,
            "the database computes this column and takes no values",
        ));
    }
    if given.is_empty() {
        return Err(RowError::of_row("the row has no fields"));
    }
    Ok(given)
}

fn encoder(shape: &TableShape, given: &[usize]) -> Result<(Arc<Schema>, JsonEncoder), RowError> {
    let columns = given.iter().map(|index| {
        let column = &shape.columns[*index];
        let nullable = column.nullable || column.has_default;
        Column { nullable, ..Column::new(column.name.clone(), column.kind) }
    });
    let schema = Schema::new(columns.collect()).map_err(|error| RowError::of_row(error.to_string()))?;
    let encoder = JsonEncoder::new(&schema, UnknownField::Reject);
    Ok((Arc::new(schema), encoder))
}

fn batch(retry: &LetterRetry, shape: &TableShape, letter: &DeadLetter) -> Batch {
    let destination = Destination { table: shape.table.clone(), mode: retry.mode, key: retry.key.clone() };
    Batch { lane: letter.lane.clone(), destination: Arc::new(destination), blocks: Vec::new() }
}
