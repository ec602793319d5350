use std::path::Path;

use rusqlite::{
    Connection, ToSql, params_from_iter,
    types::{Null, ToSqlOutput, ValueRef},
};
use standpipe_harness::Outcome;

use super::flights::{Field, Flights};

impl ToSql for Field {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Field::Null => Null.to_sql(),
            Field::Int(value) => value.to_sql(),
            Field::Text(text) => Ok(ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
        }
    }
}

/// The good way by hand.
pub(crate) fn prepared(flights: &Flights, database: &Path) -> Outcome<()> {
    let mut connection = open(flights, database)?;
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare(&flights.insert())?;
        for row in &flights.rows {
            for (field, at) in row.iter().zip(1..) {
                insert.raw_bind_parameter(at, field)?;
            }
            insert.raw_execute()?;
        }
    }
    transaction.commit()?;
    close(connection)
}

/// The usual way by hand.
pub(crate) fn executed(flights: &Flights, database: &Path) -> Outcome<()> {
    const ROWS: usize = 1_000;
    let mut connection = open(flights, database)?;
    let insert = flights.insert();
    for rows in flights.rows.chunks(ROWS) {
        let transaction = connection.transaction()?;
        for row in rows {
            transaction.execute(&insert, params_from_iter(row))?;
        }
        transaction.commit()?;
    }
    close(connection)
}

fn open(flights: &Flights, database: &Path) -> Outcome<Connection> {
    let connection = Connection::open(database)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute(&flights.create_table(), [])?;
    Ok(connection)
}

fn close(connection: Connection) -> Outcome<()> {
    connection.close().map_err(|(_, error)| error.into())
}
