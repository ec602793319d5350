//! Blocks whose types are not quite the table's.

use bytes::Bytes;
use standpipe_core::{Block, Error, Reject};
use standpipe_row::{Tuple, Tuples};

use crate::{
    field::Way,
    plan::{Form, Plan},
};

/// A block as the table takes it.
pub(crate) struct Converted {
    pub(crate) bytes: Bytes,
    /// Where each row begins, and where the last one ends.
    pub(crate) starts: Vec<u32>,
    /// Which rows of the block they are, unless they are all of them.
    pub(crate) numbers: Option<Vec<u32>>,
}

/// Converts a block, the `number`th of its batch; rows that would lose something are named and left out. Those that stay are
/// numbered from `numbers_from` on, behind their values, if that is asked for.
pub(crate) fn block(
    block: &Block,
    number: usize,
    plan: &Plan,
    numbers_from: Option<u32>,
    rejects: &mut Vec<Reject>,
) -> Result<Converted, Error> {
    let mut out = Vec::with_capacity(block.tuples.len() + block.tuples.len() / 4);
    let mut starts = Vec::with_capacity(block.rows as usize + 1);
    let mut numbers = Vec::new();
    let mut scratch = Scratch::default();
    let first_reject = rejects.len();
    starts.push(0);
    for (row, tuple) in (0..).zip(Tuples::new(block)) {
        let tuple = tuple?;
        let start = out.len();
        let own_number = numbers_from.map(|first| first + numbers.len() as u32);
        let converted = match plan.form {
            Form::Text => text_row(tuple, &plan.ways, own_number, &mut scratch, &mut out),
            Form::Untouched | Form::Binary => binary_row(tuple, &plan.ways, own_number, &mut out),
        };
        match converted {
            Ok(()) => {
                numbers.push(row);
                starts.push(u32::try_from(out.len()).map_err(|_| too_large())?);
            }
            Err((column, reason)) => {
                out.truncate(start);
                rejects.push(Reject {
                    block: number,
                    row,
                    column: block.schema.columns().get(column).map(|column| column.name.clone()),
                    code: None,
                    reason,
                });
            }
        }
    }
    let numbers = (rejects.len() > first_reject).then_some(numbers);
    Ok(Converted { bytes: Bytes::from(out), starts, numbers })
}

#[derive(Default)]
struct Scratch {
    changed: Vec<u8>,
    text: Vec<u8>,
}

/// The column at fault, and why.
type Fault = (usize, String);

fn binary_row(tuple: Tuple<'_>, ways: &[Way], number: Option<u32>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let fields = ways.len() + usize::from(number.is_some());
    out.extend_from_slice(&(fields as i16).to_be_bytes());
    for (column, (field, way)) in tuple.fields().zip(ways).enumerate() {
        let Some(bytes) = field.bytes else {
            refuse_null(way, column)?;
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            continue;
        };
        let length_at = out.len();
        out.extend_from_slice(&[0; 4]);
        way.binary(bytes, out).map_err(|reason| (column, reason))?;
        let length = (out.len() - length_at - 4) as i32;
        out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    }
    if let Some(number) = number {
        out.extend_from_slice(&4_i32.to_be_bytes());
        out.extend_from_slice(&number.to_be_bytes());
    }
    Ok(())
}

fn text_row(
    tuple: Tuple<'_>,
    ways: &[Way],
    number: Option<u32>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    for (column, (field, way)) in tuple.fields().zip(ways).enumerate() {
        if column > 0 {
            out.push(b'\t');
        }
        let Some(bytes) = field.bytes else {
            refuse_null(way, column)?;
            out.extend_from_slice(b"\\N");
            continue;
        };
        scratch.text.clear();
        way.text(bytes, &mut scratch.changed, &mut scratch.text).map_err(|reason| (column, reason))?;
        escape(&scratch.text, out);
    }
    if let Some(number) = number {
        out.extend_from_slice(format!("\t{number}").as_bytes());
    }
    out.push(b'\n');
    Ok(())
}

fn refuse_null(way: &Way, column: usize) -> Result<(), Fault> {
    way.null.map_or(Ok(()), |reason| Err((column, reason.to_owned())))
}

/// COPY's text format.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => out.push(*byte),
        }
    }
}

#[cold]
fn too_large() -> Error {
    Error::invalid("a block of more than 4 GiB once it is converted")
}
