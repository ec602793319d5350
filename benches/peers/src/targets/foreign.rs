use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::SinkExt;
use sqlx::{Connection, Executor, PgConnection};
use standpipe_harness::Outcome;
use tokio_postgres::{Client, types::ToSql};

use super::{clock::Clock, data::Values, server::connect};

const COPY: &str = "COPY flights FROM STDIN (FORMAT binary)";
/// Bytes of a message: what libpq, and we, send at a time.
const MESSAGE_BYTES: usize = 64 << 10;

/// COPY BINARY of bytes that are ready, through sqlx, a transaction each.
pub(crate) async fn sqlx_copy(url: &str, copies: &[Bytes], clock: &mut Clock) -> Outcome<()> {
    let mut connection = PgConnection::connect(url).await?;
    clock.start()?;
    for bytes in copies {
        connection.execute("BEGIN").await?;
        let mut copy = connection.copy_in_raw(COPY).await?;
        for message in bytes.chunks(MESSAGE_BYTES) {
            copy.send(message).await?;
        }
        copy.finish().await?;
        connection.execute("COMMIT").await?;
    }
    clock.stop()?;
    Ok(connection.close().await?)
}

/// The same through tokio-postgres.
pub(crate) async fn tokio_postgres_copy(url: &str, copies: &[Bytes], clock: &mut Clock) -> Outcome<()> {
    tokio_postgres_copy_and(url, copies, clock, || {}).await
}

/// The same, and calls somebody when the connection is made and when all is done.
pub(crate) async fn tokio_postgres_copy_and(
    url: &str,
    copies: &[Bytes],
    clock: &mut Clock,
    mut at_both_ends: impl FnMut(),
) -> Outcome<()> {
    let client = connect(url).await?;
    at_both_ends();
    clock.start()?;
    for bytes in copies {
        client.batch_execute("BEGIN").await?;
        copy_in(&client, COPY, bytes).await?;
        client.batch_execute("COMMIT").await?;
    }
    clock.stop()?;
    at_both_ends();
    Ok(())
}

/// A transaction each time that `every` is over, as long as `goes_on` says so. Returns how many there were.
pub(crate) async fn copy_at_times(
    url: &str,
    copies: &[Bytes],
    every: Duration,
    goes_on: impl Fn() -> bool,
) -> Outcome<usize> {
    let client = connect(url).await?;
    let mut times = tokio::time::interval(every);
    let mut done = 0;
    for bytes in copies.iter().cycle() {
        if !goes_on() {
            break;
        }
        times.tick().await;
        client.batch_execute("BEGIN").await?;
        copy_in(&client, COPY, bytes).await?;
        client.batch_execute("COMMIT").await?;
        done += 1;
    }
    Ok(done)
}

async fn copy_in(client: &Client, statement: &str, bytes: &Bytes) -> Outcome<()> {
    let mut copy = pin!(client.copy_in::<_, Bytes>(statement).await?);
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let message = rest.split_to(MESSAGE_BYTES.min(rest.len()));
        copy.send(message).await?;
    }
    copy.finish().await?;
    Ok(())
}

/// An array for each column, one statement a transaction; `conflict` ends the statement.
pub(crate) async fn unnest(
    url: &str,
    batches: &[Vec<Values>],
    conflict: &str,
    clock: &mut Clock,
) -> Outcome<()> {
    let mut client = connect(url).await?;
    let kinds = batches.first().ok_or("no rows")?.iter().enumerate();
    let arrays: Vec<_> = kinds.map(|(at, values)| format!("${}::{}[]", at + 1, values.kind())).collect();
    let sql = format!("INSERT INTO flights SELECT * FROM unnest({}) {conflict}", arrays.join(", "));
    let insert = client.prepare(&sql).await?;
    clock.start()?;
    for batch in batches {
        let arrays: Vec<_> = batch.iter().map(Values::array).collect();
        let transaction = client.transaction().await?;
        transaction.execute(&insert, &arrays).await?;
        transaction.commit().await?;
    }
    clock.stop()?;
    Ok(())
}

/// Rows of one INSERT with a place for each value: the protocol has no more than 65,535 places.
const VALUES_ROWS: usize = 1_000;

/// INSERTs of a thousand rows each, as many of them a transaction as a batch has.
pub(crate) async fn values(url: &str, batches: &[Vec<Values>], clock: &mut Clock) -> Outcome<()> {
    let mut client = connect(url).await?;
    let columns = batches.first().ok_or("no rows")?.len();
    let row = |row: usize| {
        let places: Vec<_> = (1..=columns).map(|at| format!("${}", row * columns + at)).collect();
        format!("({})", places.join(", "))
    };
    let statement = |rows: usize| {
        format!("INSERT INTO flights VALUES {}", (0..rows).map(row).collect::<Vec<_>>().join(", "))
    };
    let full = client.prepare(&statement(VALUES_ROWS)).await?;
    clock.start()?;
    for batch in batches {
        let rows = batch.first().map_or(0, Values::len);
        let transaction = client.transaction().await?;
        for first in (0..rows).step_by(VALUES_ROWS) {
            let count = VALUES_ROWS.min(rows - first);
            let mut places: Vec<&(dyn ToSql + Sync)> = Vec::with_capacity(count * columns);
            for row in first..first + count {
                places.extend(batch.iter().map(|values| values.at(row)));
            }
            if count == VALUES_ROWS {
                transaction.execute(&full, &places).await?;
            } else {
                transaction.execute(&statement(count), &places).await?;
            }
        }
        transaction.commit().await?;
    }
    clock.stop()?;
    Ok(())
}

/// COPY into a temporary table, and from there, as people write it by hand.
pub(crate) async fn staging(url: &str, copies: &[Bytes], conflict: &str, clock: &mut Clock) -> Outcome<()> {
    let client = connect(url).await?;
    client.batch_execute("CREATE TEMPORARY TABLE stage (LIKE flights) ON COMMIT DELETE ROWS").await?;
    let merge = client.prepare(&format!("INSERT INTO flights SELECT * FROM stage {conflict}")).await?;
    clock.start()?;
    for bytes in copies {
        client.batch_execute("BEGIN").await?;
        copy_in(&client, "COPY stage FROM STDIN (FORMAT binary)", bytes).await?;
        client.execute(&merge, &[]).await?;
        client.batch_execute("COMMIT").await?;
    }
    clock.stop()?;
    Ok(())
}

impl Values {
    fn kind(&self) -> &'static str {
        match self {
            Values::Int4(_) => "int4",
            Values::Int8(_) => "int8",
            Values::Float8(_) => "float8",
            Values::Text(_) => "text",
            Values::Timestamptz(_) => "timestamptz",
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Values::Int4(values) => values.len(),
            Values::Int8(values) => values.len(),
            Values::Float8(values) => values.len(),
            Values::Text(values) => values.len(),
            Values::Timestamptz(values) => values.len(),
        }
    }

    fn array(&self) -> &(dyn ToSql + Sync) {
        match self {
            Values::Int4(values) => values,
            Values::Int8(values) => values,
            Values::Float8(values) => values,
            Values::Text(values) => values,
            Values::Timestamptz(values) => values,
        }
    }

    fn at(&self, row: usize) -> &(dyn ToSql + Sync) {
        match self {
            Values::Int4(values) => &values[row],
            Values::Int8(values) => &values[row],
            Values::Float8(values) => &values[row],
            Values::Text(values) => &values[row],
            Values::Timestamptz(values) => &values[row],
        }
    }
}
