use rusqlite::{
    CachedStatement, ToSql,
    types::{Null, ToSqlOutput, ValueRef},
};
use standpipe_core::Error;
use standpipe_row::{Tuple, Value, render_date, render_time, render_timestamp, render_uuid};

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
        let value = field.value()?;
        match value {
            Value::Null => statement.raw_bind_parameter(next, Null)?,
            Value::Bool(value) => statement.raw_bind_parameter(next, i64::from(value))?,
            Value::Int(value) => statement.raw_bind_parameter(next, value)?,
            Value::Float(value) => statement.raw_bind_parameter(next, value)?,
            Value::Text(value) | Value::Json(value) => statement.raw_bind_parameter(next, value)?,
            Value::Bytes(value) => statement.raw_bind_parameter(next, value)?,
            rendered => {
                scratch.clear();
                render(rendered, scratch)?;
                statement.raw_bind_parameter(next, Rendered(scratch))?;
            }
        }
        next += 1;
    }
    Ok(next)
}

fn render(value: Value<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    match value {
        Value::Date(days) => render_date(days, out),
        Value::Time(us) => render_time(us, out),
        Value::Timestamp(us) => render_timestamp(us, false, out),
        Value::Timestamptz(us) => render_timestamp(us, true, out),
        Value::Uuid(uuid) => render_uuid(&uuid, out),
        other => return Err(Error::invalid(format!("this version cannot write {other:?} to SQLite"))),
    }
    Ok(())
}

/// ASCII that a renderer made.
struct Rendered<'a>(&'a [u8]);

impl ToSql for Rendered<'_> {
    #[inline]
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}
