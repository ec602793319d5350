use rusqlite::{
    CachedStatement, ToSql,
    types::{Null, ToSqlOutput, ValueRef},
};
use standpipe_core::{Error, ErrorKind, Type};
use standpipe_row::{
    Field, Numeric, Tuple, render_date, render_numeric, render_time, render_timestamp, render_uuid,
};

use crate::worker::WorkError;

/// Binds the fields of a tuple from parameter `next` on, and returns the one behind them.
#[inline]
pub(crate) fn bind_tuple(
    statement: &mut CachedStatement<'_>,
    mut next: usize,
    tuple: Tuple<'_>,
    scratch: &mut Vec<u8>,
) -> Result<usize, WorkError> {
    for field in tuple.fields() {
        bind_field(statement, next, field, scratch)?;
        next += 1;
    }
    Ok(next)
}

/// Goes from the bytes to SQLite without a value in between: to make one for each field, and to take it apart again, was a
/// third of the time of a load.
#[inline]
fn bind_field(
    statement: &mut CachedStatement<'_>,
    at: usize,
    field: Field<'_>,
    scratch: &mut Vec<u8>,
) -> Result<(), WorkError> {
    let Some(bytes) = field.bytes else { return Ok(statement.raw_bind_parameter(at, Null)?) };
    match field.kind {
        Type::Int8 => statement.raw_bind_parameter(at, i64::from_be_bytes(fixed(bytes)?))?,
        Type::Int4 => statement.raw_bind_parameter(at, i32::from_be_bytes(fixed(bytes)?))?,
        Type::Int2 => statement.raw_bind_parameter(at, i16::from_be_bytes(fixed(bytes)?))?,
        Type::Text | Type::Json => statement.raw_bind_parameter(at, text(bytes)?)?,
        Type::Float8 => statement.raw_bind_parameter(at, f64::from_be_bytes(fixed(bytes)?))?,
        Type::Float4 => statement.raw_bind_parameter(at, f64::from(f32::from_be_bytes(fixed(bytes)?)))?,
        Type::Bytea => statement.raw_bind_parameter(at, bytes)?,
        Type::Bool => match bytes {
            [truth @ (0 | 1)] => statement.raw_bind_parameter(at, *truth)?,
            _ => return Err(damaged().into()),
        },
        kind => {
            scratch.clear();
            render(kind, bytes, scratch)?;
            statement.raw_bind_parameter(at, Rendered(scratch))?;
        }
    }
    Ok(())
}

fn render(kind: Type, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    match kind {
        Type::Date => render_date(i32::from_be_bytes(fixed(bytes)?), out),
        Type::Time => render_time(i64::from_be_bytes(fixed(bytes)?), out),
        Type::Timestamp => render_timestamp(i64::from_be_bytes(fixed(bytes)?), false, out),
        Type::Timestamptz => render_timestamp(i64::from_be_bytes(fixed(bytes)?), true, out),
        Type::Uuid => render_uuid(&fixed(bytes)?, out),
        Type::Numeric => render_numeric(Numeric::new(bytes)?, out),
        other => return Err(Error::invalid(format!("this version cannot write {other} to SQLite"))),
    }
    Ok(())
}

#[inline]
fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| damaged())
}

#[inline]
fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| damaged())
}

#[cold]
fn damaged() -> Error {
    Error::new(ErrorKind::Corrupt, "the block is damaged: a field does not hold what its type says")
}

/// ASCII that a renderer made.
struct Rendered<'a>(&'a [u8]);

impl ToSql for Rendered<'_> {
    #[inline]
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}
