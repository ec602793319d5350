//! Dead letters in a table of the same database.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{
    Row, params,
    types::{ToSqlOutput, ValueRef},
};
use standpipe_core::{DeadLetter, Error, LaneId, LetterId, LetterPage, StreamId, TableName};

use crate::{
    ledger::{corrupt, stored},
    name::{quoted_table, table_name},
    table::find,
    worker::{WorkError, Worker},
};

const COLUMNS: &str =
    "stream, lane, position, ordinal, target_table, origin, line, column_name, code, reason, row";

/// Keeps letters as part of the open transaction; one that is there already is written again.
pub(crate) fn keep(worker: &mut Worker, table: &TableName, letters: &[DeadLetter]) -> Result<(), Error> {
    let kept = || -> Result<(), WorkError> {
        let name = quoted_table(table)?;
        worker.connection.execute_batch(&create_statement(&name))?;
        let mut statement = worker.connection.prepare_cached(&format!(
            "INSERT OR REPLACE INTO {name} ({COLUMNS}, kept_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
        ))?;
        for letter in letters {
            // Readable for people where it is text; any bytes otherwise.
            let row = match std::str::from_utf8(&letter.row) {
                Ok(_) => ValueRef::Text(&letter.row),
                Err(_) => ValueRef::Blob(&letter.row),
            };
            statement.execute(params![
                letter.lane.stream.as_str(),
                letter.lane.lane,
                stored(letter.position)?,
                letter.ordinal,
                table_name(&letter.table).map_or_else(|_| letter.table.to_string(), str::to_owned),
                &*letter.origin,
                letter.line.map(stored).transpose()?,
                letter.column,
                letter.code,
                letter.reason,
                ToSqlOutput::Borrowed(row),
            ])?;
        }
        Ok(())
    }();
    kept.map_err(|error| worker.explain(error, &format!("keeping dead letters in {table}")))
}

/// Takes letters out as part of the open transaction, which holds the write lock: nobody else can take them meanwhile.
pub(crate) fn withdraw(worker: &mut Worker, table: &TableName, letters: &[LetterId]) -> Result<u64, Error> {
    let withdrawn = || -> Result<u64, WorkError> {
        if find(&worker.connection, table)?.is_none() {
            return Ok(0);
        }
        let mut statement = worker.connection.prepare_cached(&format!(
            "DELETE FROM {} WHERE stream = ?1 AND lane = ?2 AND position = ?3 AND ordinal = ?4",
            quoted_table(table)?
        ))?;
        let mut withdrawn = 0;
        for id in letters {
            let (stream, lane) = (id.lane.stream.as_str(), id.lane.lane);
            withdrawn += statement.execute(params![stream, lane, stored(id.position)?, id.ordinal])? as u64;
        }
        Ok(withdrawn)
    }();
    withdrawn.map_err(|error| worker.explain(error, &format!("withdrawing dead letters from {table}")))
}

/// The letters of a page in the order of their ids; none when there is no such table.
pub(crate) fn read(
    worker: &mut Worker,
    table: &TableName,
    page: &LetterPage,
) -> Result<Vec<DeadLetter>, Error> {
    let letters = || -> Result<Vec<DeadLetter>, WorkError> {
        if find(&worker.connection, table)?.is_none() {
            return Ok(Vec::new());
        }
        let mut statement = worker.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM {} WHERE (stream, lane, position, ordinal) > (?1, ?2, ?3, ?4) \
             ORDER BY stream, lane, position, ordinal LIMIT ?5",
            quoted_table(table)?
        ))?;
        let limit = i64::try_from(page.letters_max).unwrap_or(i64::MAX);
        // No stream's name is empty.
        let mut rows = match &page.after {
            None => statement.query(params!["", 0, 0, 0, limit])?,
            Some(id) => statement.query(params![
                id.lane.stream.as_str(),
                id.lane.lane,
                stored(id.position)?,
                id.ordinal,
                limit
            ])?,
        };
        let (mut letters, mut bytes) = (Vec::new(), 0);
        while bytes < page.bytes_max
            && let Some(row) = rows.next()?
        {
            let letter = letter(row)?;
            bytes += letter.row.len() as u64;
            letters.push(letter);
        }
        Ok(letters)
    }();
    letters.map_err(|error| worker.explain(error, &format!("reading the dead letters in {table}")))
}

fn create_statement(name: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {name} (
    stream       TEXT    NOT NULL,
    lane         INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    ordinal      INTEGER NOT NULL,
    target_table TEXT    NOT NULL,
    origin       TEXT    NOT NULL,
    line         INTEGER,
    column_name  TEXT,
    code         TEXT,
    reason       TEXT    NOT NULL,
    row          BLOB    NOT NULL,
    kept_at      TEXT    NOT NULL,
    PRIMARY KEY (stream, lane, position, ordinal)
)"
    )
}

fn letter(row: &Row<'_>) -> Result<DeadLetter, WorkError> {
    let number = |column: &'static str| -> Result<u64, WorkError> {
        u64::try_from(row.get::<_, i64>(column)?).map_err(|_| out_of_range(column).into())
    };
    let small = |column: &'static str| -> Result<u32, WorkError> {
        u32::try_from(number(column)?).map_err(|_| out_of_range(column).into())
    };
    let kept = match row.get_ref("row")? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Bytes::copy_from_slice(bytes),
        _ => return Err(out_of_range("row").into()),
    };
    Ok(DeadLetter {
        lane: LaneId { stream: StreamId::new(row.get::<_, String>("stream")?)?, lane: small("lane")? },
        position: number("position")?,
        ordinal: small("ordinal")?,
        table: TableName::new(row.get::<_, String>("target_table")?),
        origin: Arc::from(row.get::<_, String>("origin")?),
        line: row.get::<_, Option<i64>>("line")?.and_then(|line| u64::try_from(line).ok()),
        column: row.get("column_name")?,
        code: row.get("code")?,
        reason: row.get("reason")?,
        row: kept,
    })
}

fn out_of_range(column: &str) -> Error {
    corrupt(format!("the dead letters' column {column} holds what was never written"))
}
