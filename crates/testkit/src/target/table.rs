use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use standpipe_core::{
    Column, ColumnShape, Destination, Error, ErrorKind, LaneId, Mode, Schema, TableName, TableShape, Type,
};

use super::{tuple, value::Value};

/// A row as it is stored: the tuple that was written, what it means, and the lane that brought it.
#[derive(Clone, Debug, PartialEq)]
pub struct SimRow {
    /// The lane whose batch held the row.
    pub lane: LaneId,
    /// What the tuple holds.
    pub schema: Arc<Schema>,
    /// The tuple's bytes, its field count included.
    pub tuple: Bytes,
}

impl SimRow {
    /// The value of a column; `None` when the row does not give one or its bytes are none of the type.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<Value> {
        let index = self.schema.index_of(column)?;
        let fields = tuple::fields(&self.tuple)?;
        Value::decode(self.schema.columns()[index].kind, fields.get(index)?.as_deref())
    }

    fn field(&self, column: &str) -> Option<Bytes> {
        tuple::fields(&self.tuple)?.into_iter().nth(self.schema.index_of(column)?)?
    }

    /// What stands for a column in a key: of a numeric all but its scale, since `1.0` and `1.00` are one key.
    fn key_part(&self, column: &str) -> Option<Bytes> {
        let field = self.field(column)?;
        let kind = self.schema.columns()[self.schema.index_of(column)?].kind;
        Some(match field.get(8..) {
            Some(digits) if kind == Type::Numeric => [&field[..6], digits].concat().into(),
            _ => field,
        })
    }
}

/// Why a row was refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) column: Option<String>,
    pub(crate) code: &'static str,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(column: Option<&str>, code: &'static str, reason: impl Into<String>) -> Self {
        Refusal { column: column.map(str::to_owned), code, reason: reason.into() }
    }
}

type Key = Vec<Bytes>;

/// A table: its rows in the order in which they came, and where each key is.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) shape: TableShape,
    pub(crate) rows: Vec<SimRow>,
    /// Goes up with every change, so that a branch sees that its copy is old.
    pub(crate) version: u64,
    /// The version that this copy was made from.
    base: u64,
    indexes: Vec<HashMap<Key, usize>>,
}

impl Table {
    pub(crate) fn new(name: &TableName, schema: &Schema, keys: Vec<Vec<String>>) -> Result<Self, Error> {
        if let Some(missing) = keys.iter().flatten().find(|key| schema.index_of(key).is_none()) {
            return Err(Error::invalid(format!("table {name} has no column {missing:?} for its key")));
        }
        let columns = schema
            .columns()
            .iter()
            .map(|column| {
                let mut shape = column_shape(column);
                shape.nullable &= !keys.first().is_some_and(|primary| primary.contains(&column.name));
                shape
            })
            .collect();
        let indexes = vec![HashMap::new(); keys.len()];
        Ok(Table {
            shape: TableShape { table: name.clone(), columns, keys },
            rows: Vec::new(),
            version: 0,
            base: 0,
            indexes,
        })
    }

    pub(crate) fn add_column(&mut self, column: &Column) {
        if self.shape.columns.iter().all(|present| present.name != column.name) {
            self.shape.columns.push(column_shape(column));
            self.version += 1;
        }
    }

    /// A copy for a branch to work on.
    pub(crate) fn copy(&self) -> Self {
        Table { base: self.version, ..self.clone() }
    }

    /// Whether `present` is still what this copy was made from.
    pub(crate) fn is_copy_of(&self, present: &Table) -> bool {
        self.base == present.version
    }

    pub(crate) fn is_keyed(&self) -> bool {
        !self.indexes.is_empty()
    }

    pub(crate) fn truncate(&mut self) {
        self.rows.clear();
        self.indexes.iter_mut().for_each(HashMap::clear);
        self.version += 1;
    }

    /// What concerns every row of a block alike: all its columns are there, and the mode's key is a key of the table.
    pub(crate) fn check(&self, schema: &Schema, destination: &Destination) -> Result<(), Error> {
        for column in schema.columns() {
            if self.shape.columns.iter().all(|present| present.name != column.name) {
                return Err(Error::invalid(format!(
                    "table {} has no column {:?}",
                    self.shape.table, column.name
                )));
            }
        }
        if destination.mode != Mode::Append && self.index_of(&destination.key).is_none() {
            return Err(Error::invalid(format!(
                "table {} has no unique key of ({})",
                self.shape.table,
                destination.key.join(", ")
            )));
        }
        Ok(())
    }

    /// Writes one row as its mode says.
    pub(crate) fn put(&mut self, row: SimRow, destination: &Destination) -> Result<(), Refusal> {
        self.accepts(&row, destination.mode)?;
        let hit = match destination.mode {
            Mode::Append => None,
            _ => self.index_of(&destination.key).and_then(|index| {
                let key = self.key(index, &row)?;
                self.indexes[index].get(&key).copied()
            }),
        };
        match (hit, destination.mode) {
            (None, _) => self.store(row, None),
            (Some(_), Mode::Ignore) => Ok(()),
            (Some(place), Mode::Upsert) => self.store(self.merged(place, &row), Some(place)),
            (Some(place), _) => self.store(row, Some(place)),
        }
    }

    /// The row's values in the order of the table's columns.
    pub(crate) fn values(&self, row: &SimRow) -> Vec<Value> {
        self.shape.columns.iter().map(|column| row.value(&column.name).unwrap_or(Value::Null)).collect()
    }

    /// Whether the row's own values will do, whatever other rows there are.
    pub(crate) fn accepts(&self, row: &SimRow, mode: Mode) -> Result<(), Refusal> {
        let fields = self.check_fields(row)?;
        self.check_nulls(row, &fields, mode)
    }

    fn check_fields(&self, row: &SimRow) -> Result<Vec<Option<Bytes>>, Refusal> {
        let fields = tuple::fields(&row.tuple)
            .ok_or_else(|| Refusal::new(None, "22P03", "the tuple is not what the schema says"))?;
        for (column, field) in row.schema.columns().iter().zip(&fields) {
            if Value::decode(column.kind, field.as_deref()).is_none() {
                return Err(Refusal::new(
                    Some(&column.name),
                    "22P03",
                    format!("these bytes are no {}", column.kind),
                ));
            }
        }
        Ok(fields)
    }

    fn check_nulls(&self, row: &SimRow, fields: &[Option<Bytes>], mode: Mode) -> Result<(), Refusal> {
        for column in self.shape.columns.iter().filter(|column| !column.nullable) {
            let given = row.schema.index_of(&column.name);
            let absent = match given {
                Some(index) => fields[index].is_none(),
                None => mode != Mode::Upsert && !column.has_default,
            };
            if absent {
                return Err(Refusal::new(Some(&column.name), "23502", "the column takes no NULL"));
            }
        }
        Ok(())
    }

    /// Stores a row, in the place of another if one is named, unless it breaks a key.
    fn store(&mut self, row: SimRow, place: Option<usize>) -> Result<(), Refusal> {
        let keys: Vec<Option<Key>> = (0..self.indexes.len()).map(|index| self.key(index, &row)).collect();
        for (index, key) in keys.iter().enumerate() {
            let holder = key.as_ref().and_then(|key| self.indexes[index].get(key).copied());
            if holder.is_some() && holder != place {
                let columns = &self.shape.keys[index];
                return Err(Refusal::new(
                    columns.first().map(String::as_str).filter(|_| columns.len() == 1),
                    "23505",
                    format!("the key ({}) is there already", columns.join(", ")),
                ));
            }
        }
        let new_place = place.unwrap_or(self.rows.len());
        if let Some(place) = place {
            for index in 0..self.indexes.len() {
                if let Some(old) = self.key(index, &self.rows[place]) {
                    self.indexes[index].remove(&old);
                }
            }
            self.rows[place] = row;
        } else {
            self.rows.push(row);
        }
        for (index, key) in keys.into_iter().enumerate() {
            if let Some(key) = key {
                self.indexes[index].insert(key, new_place);
            }
        }
        self.version += 1;
        Ok(())
    }

    /// The stored row with the columns that the new one gives set.
    fn merged(&self, place: usize, row: &SimRow) -> SimRow {
        let old = &self.rows[place];
        let mut columns: Vec<Column> = old.schema.columns().to_vec();
        columns.extend(
            row.schema.columns().iter().filter(|column| old.schema.index_of(&column.name).is_none()).cloned(),
        );
        let fields = columns.iter().map(|column| match row.schema.index_of(&column.name) {
            Some(_) => row.field(&column.name),
            None => old.field(&column.name),
        });
        let tuple = Bytes::from(tuple::fields_to_tuple(fields));
        for column in &mut columns {
            if let Some(index) = row.schema.index_of(&column.name) {
                column.kind = row.schema.columns()[index].kind;
            }
        }
        // The columns are those of two valid schemas, each name once.
        let schema = Schema::new(columns).map_or_else(|_| Arc::clone(&old.schema), Arc::new);
        SimRow { lane: row.lane.clone(), schema, tuple }
    }

    fn index_of(&self, key: &[String]) -> Option<usize> {
        self.shape
            .keys
            .iter()
            .position(|present| present.len() == key.len() && key.iter().all(|name| present.contains(name)))
    }

    /// The row's key; `None` when a part of it is NULL, which equals nothing.
    fn key(&self, index: usize, row: &SimRow) -> Option<Key> {
        self.shape.keys[index].iter().map(|column| row.key_part(column)).collect()
    }

    pub(crate) fn add_key(&mut self, key: Vec<String>) -> Result<(), Error> {
        self.shape.keys.push(key);
        self.indexes.push(HashMap::new());
        let index = self.indexes.len() - 1;
        for place in 0..self.rows.len() {
            if let Some(key) = self.key(index, &self.rows[place])
                && self.indexes[index].insert(key, place).is_some()
            {
                self.shape.keys.pop();
                self.indexes.pop();
                return Err(Error::new(ErrorKind::Reject, "the rows that are there break this key"));
            }
        }
        Ok(())
    }
}

fn column_shape(column: &Column) -> ColumnShape {
    ColumnShape {
        name: column.name.clone(),
        kind: column.kind,
        declared: column.kind.name().to_owned(),
        nullable: column.nullable,
        has_default: false,
        generated: false,
    }
}

#[cfg(test)]
mod tests {
    use standpipe_core::StreamId;

    use super::*;

    fn table() -> Table {
        let schema = Schema::new(vec![
            Column::new("id", Type::Int4),
            Column::new("a", Type::Text),
            Column::new("n", Type::Int4),
        ])
        .unwrap();
        Table::new(&TableName::new("t"), &schema, vec![vec!["id".into()]]).unwrap()
    }

    fn row(columns: &[(&str, Value)]) -> SimRow {
        let schema = columns
            .iter()
            .map(|(name, value)| {
                let kind = match value {
                    Value::Text(_) => Type::Text,
                    Value::Numeric(_) => Type::Numeric,
                    _ => Type::Int4,
                };
                Column::new(*name, kind)
            })
            .collect();
        let values: Vec<Value> = columns.iter().map(|(_, value)| value.clone()).collect();
        SimRow {
            lane: LaneId { stream: StreamId::new("s").unwrap(), lane: 0 },
            schema: Arc::new(Schema::new(schema).unwrap()),
            tuple: tuple::tuple(&values).into(),
        }
    }

    fn mode(mode: Mode) -> Destination {
        Destination { table: TableName::new("t"), mode, key: vec!["id".into()] }
    }

    #[test]
    fn modes_do_to_a_present_key_what_they_say() {
        let first = row(&[("id", Value::Int4(1)), ("a", Value::text("x")), ("n", Value::Int4(1))]);
        let second = row(&[("id", Value::Int4(1)), ("n", Value::Int4(2))]);
        let after = |chosen| {
            let mut table = table();
            table.put(first.clone(), &mode(Mode::Append)).unwrap();
            let outcome = table.put(second.clone(), &mode(chosen));
            assert_eq!(table.rows.len(), 1);
            (outcome.err().map(|refusal| refusal.code), table.values(&table.rows[0])[1..].to_vec())
        };
        assert_eq!(after(Mode::Append), (Some("23505"), vec![Value::text("x"), Value::Int4(1)]));
        assert_eq!(after(Mode::Upsert), (None, vec![Value::text("x"), Value::Int4(2)]));
        assert_eq!(after(Mode::Replace), (None, vec![Value::Null, Value::Int4(2)]));
        assert_eq!(after(Mode::Ignore), (None, vec![Value::text("x"), Value::Int4(1)]));
    }

    #[test]
    fn numerics_of_any_scale_are_one_key() {
        let schema = Schema::new(vec![Column::new("id", Type::Numeric)]).unwrap();
        let mut table = Table::new(&TableName::new("t"), &schema, vec![vec!["id".into()]]).unwrap();
        for id in ["1.0", "10000", "1.00", "0", "0.0"] {
            table.put(row(&[("id", Value::Numeric(id.to_owned()))]), &mode(Mode::Upsert)).unwrap();
        }
        assert_eq!(table.rows.len(), 3);
    }

    #[test]
    fn a_primary_key_takes_no_null_and_a_second_key_is_kept_through_upserts() {
        let mut table = table();
        let refusal = table.put(row(&[("a", Value::text("x"))]), &mode(Mode::Append)).unwrap_err();
        assert_eq!((refusal.code, refusal.column.as_deref()), ("23502", Some("id")));
        table.add_key(vec!["a".into()]).unwrap();
        let put = |table: &mut Table, id, a: &str| {
            table.put(row(&[("id", Value::Int4(id)), ("a", Value::text(a))]), &mode(Mode::Upsert))
        };
        put(&mut table, 1, "x").unwrap();
        assert_eq!(put(&mut table, 2, "x").unwrap_err().column.as_deref(), Some("a"));
        put(&mut table, 1, "y").unwrap();
        put(&mut table, 2, "x").unwrap();
        assert_eq!(table.rows.len(), 2);
    }
}
