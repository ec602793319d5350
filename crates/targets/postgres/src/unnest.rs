//! Merges of few rows: their values go within the statement, an array for each column.

use std::ops::Range;

use standpipe_core::{Block, Error, Reject};
use standpipe_row::Tuples;

use crate::{
    copy::{Refused, Stop},
    json_array::quote,
    keys::KeyOrder,
    merge::Merge,
    name::push_literal,
    plan::Plan,
    session::Session,
    stage::{Source, in_parts},
};

/// The values of a batch as text, column by column.
pub(crate) struct Arrays {
    columns: Vec<Vec<Option<String>>>,
}

/// What a batch has as arrays: the values, where each row comes from, and what could not be converted.
pub(crate) struct Read {
    pub(crate) arrays: Arrays,
    pub(crate) places: Vec<(usize, u32)>,
    pub(crate) rejects: Vec<Reject>,
}

impl Arrays {
    pub(crate) fn read(blocks: &[Block], first_block: usize, plan: &Plan) -> Result<Read, Error> {
        let mut read = Read {
            arrays: Arrays { columns: vec![Vec::new(); plan.ways.len()] },
            places: Vec::new(),
            rejects: Vec::new(),
        };
        let (mut scratch, mut text) = (Vec::new(), Vec::new());
        for (block, number) in blocks.iter().zip(first_block..) {
            for (row, tuple) in (0..).zip(Tuples::new(block)) {
                let tuple = tuple?;
                let mut values = Vec::with_capacity(plan.ways.len());
                let mut fault = None;
                for (column, (field, way)) in tuple.fields().zip(&plan.ways).enumerate() {
                    text.clear();
                    let value = match field.bytes {
                        None => way.null.map_or(Ok(None), |reason| Err((None, reason.to_owned()))),
                        Some(bytes) => match way.text(bytes, &mut scratch, &mut text) {
                            Ok(()) => text_of(&text).map(Some),
                            Err(reason) => Err((None, reason)),
                        },
                    };
                    match value {
                        Ok(value) => values.push(value),
                        Err((code, reason)) => {
                            fault = Some((column, code, reason));
                            break;
                        }
                    }
                }
                match fault {
                    None => {
                        read.places.push((number, row));
                        for (column, value) in read.arrays.columns.iter_mut().zip(values) {
                            column.push(value);
                        }
                    }
                    Some((column, code, reason)) => read.rejects.push(Reject {
                        block: number,
                        row,
                        column: block.schema.columns().get(column).map(|column| column.name.clone()),
                        code: code.map(str::to_owned),
                        reason,
                    }),
                }
            }
        }
        Ok(read)
    }

    /// These rows as a FROM item.
    pub(crate) fn source(&self, merge: &Merge, range: &Range<u32>) -> String {
        let mut sql = match &merge.picked {
            Some(picked) => format!("(SELECT {picked}, {} FROM unnest(", merge.number),
            None => String::from("unnest("),
        };
        let mut array = Vec::new();
        for (index, (column, kind)) in self.columns.iter().zip(&merge.sent).enumerate() {
            if index > 0 {
                sql.push_str(", ");
            }
            array.clear();
            array.push(b'{');
            let values = column.get(range.start as usize..range.end as usize).unwrap_or_default();
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    array.push(b',');
                }
                match value {
                    Some(value) => quote(value.as_bytes(), &mut array),
                    None => array.extend_from_slice(b"NULL"),
                }
            }
            array.push(b'}');
            push_literal(&String::from_utf8_lossy(&array), &mut sql);
            sql.push_str("::");
            sql.push_str(kind);
            sql.push_str("[]");
        }
        sql.push_str(") WITH ORDINALITY s(");
        sql.push_str(&merge.names);
        sql.push_str(", ");
        sql.push_str(&merge.number);
        sql.push_str(if merge.picked.is_some() { ")) p" } else { ")" });
        sql
    }
}

/// The text of a value. What no text of the server holds would end the statement, and with it the connection.
fn text_of(text: &[u8]) -> Result<String, (Option<&'static str>, String)> {
    let refused = |reason: &str| (Some("22021"), reason.to_owned());
    match std::str::from_utf8(text) {
        Ok(text) if text.contains('\0') => Err(refused("invalid byte sequence for encoding \"UTF8\": 0x00")),
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(refused(&format!("invalid byte sequence for encoding \"UTF8\": {error}"))),
    }
}

/// Merges the rows. Returns the refused ones, by their numbers among `places`.
pub(crate) async fn merge(
    session: &mut Session,
    merge: &Merge,
    arrays: &Arrays,
    keys: KeyOrder,
) -> Result<Vec<Refused>, Stop> {
    let rows = arrays.columns.first().map_or(0, Vec::len) as u32;
    in_parts(session, merge, &Source::Arrays(arrays), rows, keys).await
}
