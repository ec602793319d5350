//! The ledger's statements.

use rusqlite::{Connection, OptionalExtension, Row, params};
use standpipe_core::{
    Advance, Claim, ClaimRequest, Error, ErrorKind, LEDGER_FORMAT, LaneId, LedgerRow, SourceId, StreamId,
    Verdict,
};

use crate::{
    name::quoted,
    worker::{WorkError, Worker},
};

const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
const COLUMNS: &str =
    "stream, lane, lanes, epoch, position, source, source_position, complete, format, owner, updated_at";

/// The statements for a ledger of one name; the same text every time, so that they stay prepared.
pub(crate) struct LedgerSql {
    table: String,
    create: String,
    read: String,
    insert: String,
    take: String,
    advance: String,
    pub(crate) touch: String,
    pub(crate) position: String,
}

impl LedgerSql {
    pub(crate) fn new(table: &str) -> Result<Self, Error> {
        let name = format!("main.{}", quoted(table)?);
        let lane = "stream = ?1 AND lane = ?2";
        Ok(LedgerSql {
            table: table.to_owned(),
            create: format!(
                "CREATE TABLE {name} (
    stream          TEXT    NOT NULL,
    lane            INTEGER NOT NULL,
    lanes           INTEGER NOT NULL,
    epoch           INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    source          TEXT    NOT NULL,
    source_position TEXT    NOT NULL,
    complete        INTEGER NOT NULL,
    format          INTEGER NOT NULL,
    owner           TEXT    NOT NULL,
    updated_at      TEXT    NOT NULL,
    PRIMARY KEY (stream, lane)
) WITHOUT ROWID"
            ),
            read: format!(
                "SELECT {COLUMNS} FROM {name} WHERE ?1 IS NULL OR stream = ?1 ORDER BY stream, lane"
            ),
            insert: format!(
                "INSERT INTO {name} ({COLUMNS}) VALUES (?1, ?2, ?3, 1, ?4, ?5, '', 0, ?6, ?7, {NOW})"
            ),
            take: format!(
                "UPDATE {name} SET epoch = epoch + 1, owner = ?2, complete = 0, updated_at = {NOW} WHERE stream = ?1"
            ),
            advance: format!(
                "UPDATE {name} SET position = ?5, source_position = ?6, complete = ?7, updated_at = {NOW} \
                 WHERE {lane} AND epoch = ?3 AND position = ?4"
            ),
            touch: format!("UPDATE {name} SET owner = owner WHERE {lane} AND epoch = ?3"),
            position: format!("SELECT position FROM {name} WHERE {lane}"),
        })
    }
}

/// The rows of one stream or of all; none when there is no ledger.
pub(crate) fn read(
    connection: &Connection,
    sql: &LedgerSql,
    stream: Option<&StreamId>,
) -> Result<Vec<LedgerRow>, WorkError> {
    if !exists(connection, sql)? {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached(&sql.read)?;
    let mut rows = statement.query([stream.map(StreamId::as_str)])?;
    let mut read = Vec::new();
    while let Some(row) = rows.next()? {
        read.push(ledger_row(row)?);
    }
    Ok(read)
}

/// Takes all lanes of a stream; empty when its source is complete.
pub(crate) fn claim(worker: &mut Worker, request: &ClaimRequest) -> Result<Vec<Claim>, Error> {
    let sql = &worker.place.ledger;
    // A complete source stays so: nothing is locked, and nothing has to be writable.
    let rows = read(&worker.connection, sql, Some(&request.stream));
    let rows = rows.map_err(|error| worker.explain(error, "reading the ledger"))?;
    if matches!(request.judge(&rows), Ok(Verdict::Complete)) {
        return Ok(Vec::new());
    }
    let claimed = worker.transaction("claiming the stream", |transaction, place| {
        claim_in(transaction, &place.ledger, request)
    })?;
    Ok(claimed.unwrap_or_default())
}

fn claim_in(
    connection: &Connection,
    sql: &LedgerSql,
    request: &ClaimRequest,
) -> Result<Option<Vec<Claim>>, WorkError> {
    let rows = read(connection, sql, Some(&request.stream))?;
    match request.judge(&rows)? {
        Verdict::Complete => return Ok(None),
        Verdict::Insert { lanes } => insert(connection, sql, request, lanes)?,
        Verdict::Take => {
            if let Some(row) = rows.iter().find(|row| row.epoch >= i64::MAX as u64) {
                return Err(corrupt(format!("{} has the last epoch there is", row.lane)).into());
            }
            connection.execute(&sql.take, params![request.stream.as_str(), request.owner])?;
        }
    }
    let claims = read(connection, sql, Some(&request.stream))?.into_iter().map(|row| Claim {
        lane: row.lane,
        lanes: row.lanes,
        epoch: row.epoch,
        position: row.position,
        source_position: row.source_position,
    });
    Ok(Some(claims.collect()))
}

fn insert(
    connection: &Connection,
    sql: &LedgerSql,
    request: &ClaimRequest,
    lanes: u32,
) -> Result<(), WorkError> {
    if !exists(connection, sql)? {
        connection.execute_batch(&sql.create)?;
    }
    let origin = stored(request.origin)?;
    let mut statement = connection.prepare(&sql.insert)?;
    for lane in 0..lanes {
        let (stream, source) = (request.stream.as_str(), request.source.as_str());
        statement.execute(params![stream, lane, lanes, origin, source, LEDGER_FORMAT, request.owner])?;
    }
    Ok(())
}

/// Moves a lane within the branch's transaction, which holds the write lock: nothing can come between check and commit.
pub(crate) fn advance(worker: &mut Worker, claim: &Claim, to: &Advance) -> Result<(), Error> {
    let moved = || -> Result<usize, WorkError> {
        let (epoch, from, position) = (stored(claim.epoch)?, stored(claim.position)?, stored(to.position)?);
        let mut statement = worker.connection.prepare_cached(&worker.place.ledger.advance)?;
        let (stream, lane) = (claim.lane.stream.as_str(), claim.lane.lane);
        Ok(statement.execute(params![
            stream,
            lane,
            epoch,
            from,
            position,
            to.source_position,
            to.complete
        ])?)
    }();
    match moved.map_err(|error| worker.explain(error, "moving the ledger's position"))? {
        1 => Ok(()),
        0 => Err(Error::Fenced { lane: claim.lane.clone(), epoch: claim.epoch }),
        rows => Err(corrupt(format!("the ledger has {rows} rows of {}", claim.lane))),
    }
}

pub(crate) fn exists(connection: &Connection, sql: &LedgerSql) -> Result<bool, rusqlite::Error> {
    let query = "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
    let found = connection.prepare_cached(query)?.query_row([&sql.table], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

/// A position as SQLite's integers hold it.
pub(crate) fn stored(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| {
        Error::invalid(format!("{number} is beyond {}, the highest position that SQLite can keep", i64::MAX))
    })
}

pub(crate) fn corrupt(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

fn ledger_row(row: &Row<'_>) -> Result<LedgerRow, WorkError> {
    let small = |column: &'static str| -> Result<u32, WorkError> {
        u32::try_from(row.get::<_, i64>(column)?).map_err(|_| out_of_range(column).into())
    };
    let large = |column: &'static str| -> Result<u64, WorkError> {
        u64::try_from(row.get::<_, i64>(column)?).map_err(|_| out_of_range(column).into())
    };
    let text = |column: &'static str| row.get::<_, String>(column);
    Ok(LedgerRow {
        lane: LaneId { stream: StreamId::new(text("stream")?)?, lane: small("lane")? },
        lanes: small("lanes")?,
        epoch: large("epoch")?,
        position: large("position")?,
        source: SourceId::new(text("source")?)?,
        source_position: text("source_position")?,
        complete: row.get("complete")?,
        format: small("format")?,
        owner: text("owner")?,
        updated_at: text("updated_at")?,
    })
}

fn out_of_range(column: &str) -> Error {
    corrupt(format!("the ledger's column {column} holds a number that was never written"))
}
