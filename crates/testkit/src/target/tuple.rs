use std::sync::Arc;

use bytes::{Buf, Bytes};
use standpipe_core::{Block, Origin, Schema};

use super::value::Value;

/// The tuple of these values, as [`Block`] lays it out.
#[must_use]
pub fn tuple(values: &[Value]) -> Vec<u8> {
    fields_to_tuple(values.iter().map(Value::encode))
}

/// A block of rows that the program made itself.
///
/// # Panics
/// When there are more rows than a block can count.
#[must_use]
#[allow(clippy::expect_used)] // Four thousand million rows do not fit into a test.
pub fn block(schema: &Arc<Schema>, rows: &[Vec<Value>]) -> Block {
    Block {
        schema: Arc::clone(schema),
        rows: u32::try_from(rows.len()).expect("invariant: a block counts rows in 32 bits"),
        tuples: rows.iter().flat_map(|row| tuple(row)).collect::<Vec<u8>>().into(),
        rejected: Vec::new(),
        origin: Origin::none(),
        truncate: false,
    }
}

pub(crate) fn fields_to_tuple<B: AsRef<[u8]>>(fields: impl Iterator<Item = Option<B>>) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    let mut count = 0_u16;
    for field in fields {
        count += 1;
        match field {
            None => bytes.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(field) => {
                bytes.extend_from_slice(&(field.as_ref().len() as i32).to_be_bytes());
                bytes.extend_from_slice(field.as_ref());
            }
        }
    }
    bytes[..2].copy_from_slice(&count.to_be_bytes());
    bytes
}

/// The tuples of a block one by one; `None` when the bytes are not what the block says.
pub(crate) fn split(block: &Block) -> Option<Vec<Bytes>> {
    let columns = block.schema.columns().len();
    let mut rest = block.tuples.clone();
    let mut tuples = Vec::new();
    for _ in 0..block.rows {
        let mut walk = rest.clone();
        if take_fields(&mut walk)?.len() != columns {
            return None;
        }
        tuples.push(rest.split_to(rest.len() - walk.len()));
    }
    rest.is_empty().then_some(tuples)
}

/// The fields of one tuple; `None` when it is none.
pub(crate) fn fields(tuple: &Bytes) -> Option<Vec<Option<Bytes>>> {
    let mut rest = tuple.clone();
    let fields = take_fields(&mut rest)?;
    rest.is_empty().then_some(fields)
}

fn take_fields(bytes: &mut Bytes) -> Option<Vec<Option<Bytes>>> {
    let count = bytes.try_get_i16().ok()?;
    let mut fields = Vec::new();
    for _ in 0..count {
        match bytes.try_get_i32().ok()? {
            -1 => fields.push(None),
            len => {
                let len = usize::try_from(len).ok()?;
                if len > bytes.len() {
                    return None;
                }
                fields.push(Some(bytes.split_to(len)));
            }
        }
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use standpipe_core::{Column, Type};

    use super::*;

    #[test]
    fn what_is_cut_is_refused() {
        let schema = Schema::new(vec![Column::new("a", Type::Int4), Column::new("b", Type::Text)]).unwrap();
        let whole = block(
            &Arc::new(schema),
            &[vec![Value::Int4(1), Value::Null], vec![Value::Int4(2), Value::text("x")]],
        );
        let tuples = split(&whole).unwrap();
        assert_eq!(tuples.len(), 2);
        assert_eq!(
            fields(&tuples[1]).unwrap(),
            [Some(Bytes::from_static(&[0, 0, 0, 2])), Some(Bytes::from("x"))]
        );
        for cut in 0..whole.tuples.len() {
            assert!(
                split(&Block { tuples: whole.tuples.slice(..cut), ..whole.clone() }).is_none(),
                "cut {cut}"
            );
        }
        assert!(split(&Block { rows: 1, ..whole }).is_none());
    }
}
