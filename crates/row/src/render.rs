use standpipe_core::{Block, Error, Type};

use crate::tuples::{Tuple, Tuples};
use crate::value::Value;
use crate::{numeric, time, uuid};

/// A row of a block as a JSON object, as dead letters keep it: what [`JsonEncoder`](crate::JsonEncoder) makes the same
/// row of again. Goes through the rows before it; [`Tuple::render_json`] is for those who are there already.
///
/// # Errors
/// [`Corrupt`](standpipe_core::ErrorKind::Corrupt) for a damaged block, [`Invalid`](standpipe_core::ErrorKind::Invalid)
/// when it has no such row.
pub fn render_json(block: &Block, row: u32) -> Result<String, Error> {
    for (index, tuple) in (0..).zip(Tuples::new(block)) {
        let tuple = tuple?;
        if index == row {
            return tuple.render_json();
        }
    }
    Err(Error::invalid(format!("the block has {} rows and no row {row}", block.rows)))
}

impl Tuple<'_> {
    /// The tuple as a JSON object. Dates and times are strings in ISO 8601, bytes a string of `\x` and hexadecimal
    /// digits, NaN and the infinities strings; a numeric is a number with all its digits; columns that are NULL are there as null.
    ///
    /// # Errors
    /// [`Corrupt`](standpipe_core::ErrorKind::Corrupt) when a value is none of its type.
    pub fn render_json(&self) -> Result<String, Error> {
        let mut out = Vec::with_capacity(self.bytes().len() * 2);
        let mut scratch = Vec::new();
        for (index, (column, field)) in self.columns().iter().zip(self.fields()).enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            push_json(&column.name, &mut out);
            out.push(b':');
            render_value(field.kind, field.value()?, &mut scratch, &mut out);
        }
        out.push(b'}');
        String::from_utf8(out).map_err(|_| Error::invalid("a row that is no UTF-8"))
    }
}

fn render_value(kind: Type, value: Value<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    let mut quoted = |render: &dyn Fn(&mut Vec<u8>)| {
        out.push(b'"');
        render(out);
        out.push(b'"');
    };
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => push_json(&value, out),
        Value::Int(value) => push_json(&value, out),
        // The shorter spelling of a float4 is the one that was read.
        Value::Float(value) if value.is_finite() && kind == Type::Float4 => push_json(&(value as f32), out),
        Value::Float(value) if value.is_finite() => push_json(&value, out),
        Value::Float(value) => push_json(&value.to_string(), out),
        Value::Text(value) => push_json(value, out),
        Value::Bytes(value) => {
            scratch.clear();
            scratch.extend(value.iter().flat_map(|byte| uuid::hex_digits(*byte)));
            // The backslash is doubled because this is a JSON string.
            quoted(&|out| {
                out.extend_from_slice(b"\\\\x");
                out.extend_from_slice(scratch);
            });
        }
        Value::Date(days) => quoted(&|out| time::render_date(days, out)),
        Value::Time(us) => quoted(&|out| time::render_time(us, out)),
        Value::Timestamp(us) => quoted(&|out| time::render_timestamp(us, false, out)),
        Value::Timestamptz(us) => quoted(&|out| time::render_timestamp(us, true, out)),
        Value::Uuid(value) => quoted(&|out| uuid::render_uuid(&value, out)),
        Value::Numeric(value) if value.is_finite() => numeric::render_numeric(value, out),
        Value::Numeric(value) => quoted(&|out| numeric::render_numeric(value, out)),
        Value::Json(value) => out.extend_from_slice(value.as_bytes()),
    }
}

fn push_json<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing a scalar to a vector has no way to fail.
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok());
}
