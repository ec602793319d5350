//! What can be seen of a batch's keys before the server sees them: sorting them there is a tenth of a merge.

use standpipe_core::{Block, Error, Schema, Type};
use standpipe_row::Tuples;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    kind::{PgType, oid},
    table::FoundColumn,
};

/// How the keys of a batch lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeyOrder {
    #[default]
    Unknown,
    /// None comes twice.
    EachOnce,
    /// None comes twice, and each is above the one before, as the server orders them.
    Ascending,
}

/// The key's columns, where bytes of rows tell what the server takes for the same.
pub(crate) struct Keys {
    /// In the order of the key: the place in a row, and how bytes compare.
    parts: Vec<(usize, Bytes)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Bytes {
    /// As numbers with a sign.
    Signed,
    /// As they are.
    Plain,
    /// Only whether they are the same: a collation orders them.
    Same,
}

impl Keys {
    /// `None` where two keys may be the same although their bytes differ, or the other way round.
    pub(crate) fn of(key: &[String], given: &[&FoundColumn], schema: &Schema) -> Option<Self> {
        let part = |name: &String| {
            let place = given.iter().position(|column| column.name == *name)?;
            let (column, from) = (given.get(place)?, schema.columns().get(place)?);
            Some((place, compared(from.kind, &column.kind)?))
        };
        Some(Keys { parts: key.iter().map(part).collect::<Option<_>>()? })
    }

    /// Looks at every row of the blocks.
    pub(crate) fn look(&self, blocks: &[Block]) -> Result<KeyOrder, Error> {
        let rows = blocks.iter().map(|block| block.rows as usize).sum();
        let fields = self.parts.iter().map(|(place, _)| place + 1).max().unwrap_or(0);
        let mut hashes: Vec<u64> = Vec::with_capacity(rows);
        let mut is_ascending = self.parts.iter().all(|(_, bytes)| *bytes != Bytes::Same);
        let (mut key, mut before) = (Vec::new(), Vec::new());
        let mut found: Vec<&[u8]> = Vec::new();
        for block in blocks {
            for tuple in Tuples::new(block) {
                found.clear();
                // NULL is refused later, as a row of its own.
                let values = tuple?.fields();
                found.extend(values.take(fields).map(|field| field.bytes.unwrap_or_default()));
                std::mem::swap(&mut key, &mut before);
                key.clear();
                for (place, bytes) in &self.parts {
                    push(found.get(*place).copied().unwrap_or_default(), *bytes, &mut key);
                }
                is_ascending = is_ascending && (hashes.is_empty() || before < key);
                hashes.push(xxh3_64(&key));
            }
        }
        if is_ascending {
            return Ok(KeyOrder::Ascending);
        }
        hashes.sort_unstable();
        let is_twice = hashes.windows(2).any(|pair| pair[0] == pair[1]);
        Ok(if is_twice { KeyOrder::Unknown } else { KeyOrder::EachOnce })
    }
}

fn compared(from: Type, column: &PgType) -> Option<Bytes> {
    let is_int = matches!(column.oid, oid::INT2 | oid::INT4 | oid::INT8);
    match from {
        Type::Int2 | Type::Int4 | Type::Int8 if is_int => Some(Bytes::Signed),
        Type::Date if column.oid == oid::DATE => Some(Bytes::Signed),
        Type::Timestamp if column.oid == oid::TIMESTAMP => Some(Bytes::Signed),
        Type::Timestamptz if column.oid == oid::TIMESTAMPTZ => Some(Bytes::Signed),
        Type::Uuid if column.oid == oid::UUID => Some(Bytes::Plain),
        // A collation of somebody's own may take different texts for the same.
        Type::Text if matches!(column.oid, oid::TEXT | oid::VARCHAR) && column.is_built_in => {
            Some(Bytes::Same)
        }
        _ => None,
    }
}

/// Appends what compares byte by byte as the values do; of those that are only the same or not, with their length.
fn push(value: &[u8], bytes: Bytes, out: &mut Vec<u8>) {
    match (bytes, value.split_first()) {
        (Bytes::Signed, Some((first, rest))) => {
            out.push(first ^ 0x80);
            out.extend_from_slice(rest);
        }
        (Bytes::Same, _) => {
            out.extend_from_slice(&(value.len() as u64).to_be_bytes());
            out.extend_from_slice(value);
        }
        _ => out.extend_from_slice(value),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use standpipe_core::Column;
    use standpipe_testkit::target::{Value, block};

    use super::*;

    fn look(kinds: &[Type], parts: Vec<(usize, Bytes)>, rows: &[&[Value]]) -> KeyOrder {
        let columns = kinds.iter().enumerate().map(|(at, kind)| Column::new(format!("c{at}"), *kind));
        let schema = Arc::new(Schema::new(columns.collect()).unwrap());
        let rows: Vec<Vec<Value>> = rows.iter().map(|row| row.to_vec()).collect();
        // However the rows are cut into blocks.
        let whole = Keys { parts }.looked(&[block(&schema, &rows)]);
        let (one, other) = rows.split_at(rows.len() / 2);
        assert_eq!(whole.0, whole.1.look(&[block(&schema, one), block(&schema, other)]).unwrap());
        whole.0
    }

    impl Keys {
        fn looked(self, blocks: &[Block]) -> (KeyOrder, Self) {
            (self.look(blocks).unwrap(), self)
        }
    }

    #[test]
    fn numbers_ascend_as_numbers() {
        use Value::{Int4, Int8};
        let one = |values: &[i64]| {
            let rows: Vec<Vec<Value>> = values.iter().map(|value| vec![Int8(*value)]).collect();
            let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
            look(&[Type::Int8], vec![(0, Bytes::Signed)], &rows)
        };
        assert_eq!(one(&[i64::MIN, -256, -1, 0, 1, 255, 256, i64::MAX]), KeyOrder::Ascending);
        assert_eq!(one(&[1, -1]), KeyOrder::EachOnce);
        assert_eq!(one(&[1, 2, 2]), KeyOrder::Unknown);
        assert_eq!(one(&[2, 1, 2]), KeyOrder::Unknown);
        assert_eq!(one(&[7]), KeyOrder::Ascending);
        // The key's first column counts first, wherever it is in a row.
        let rows: &[&[Value]] = &[&[Int4(9), Int8(-1)], &[Int4(1), Int8(0)], &[Int4(2), Int8(0)]];
        let kinds = [Type::Int4, Type::Int8];
        assert_eq!(look(&kinds, vec![(1, Bytes::Signed), (0, Bytes::Signed)], rows), KeyOrder::Ascending);
        assert_eq!(look(&kinds, vec![(0, Bytes::Signed), (1, Bytes::Signed)], rows), KeyOrder::EachOnce);
        assert_eq!(look(&kinds, vec![(1, Bytes::Signed)], rows), KeyOrder::Unknown);
    }

    #[test]
    fn texts_are_told_apart_and_not_ordered() {
        let text = Value::text;
        let parts = || vec![(0, Bytes::Same), (1, Bytes::Same)];
        let kinds = [Type::Text, Type::Text];
        let rows: &[&[Value]] = &[&[text("a"), text("bc")], &[text("ab"), text("c")], &[text("b"), text("")]];
        assert_eq!(look(&kinds, parts(), rows), KeyOrder::EachOnce);
        let rows: &[&[Value]] = &[&[text("b"), text("")], &[text("a"), text("")], &[text("b"), text("")]];
        assert_eq!(look(&kinds, parts(), rows), KeyOrder::Unknown);
    }
}
