//! What the sink's tests share: a table, rows that name themselves, and bounded waits.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{future::Future, sync::Arc, time::Duration};

use serde::Serialize;
use standpipe_core::{Column, Destination, LaneId, Schema, StreamId, TableName, Target, Type};
use standpipe_log::{Log, LogError};
use standpipe_sink::{Retry, Rows, Settings, Sink, SinkError, Stream, StreamSpec};
use standpipe_testkit::{SimTarget, VecLog, VecStore, target::Value};

/// A row that names itself.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub id: i64,
    pub note: String,
}

pub fn row(id: i64) -> Row {
    Row { id, note: format!("row {id}") }
}

pub fn rows(ids: impl IntoIterator<Item = i64>) -> Vec<Row> {
    ids.into_iter().map(row).collect()
}

pub fn schema() -> Schema {
    Schema::new(vec![Column::new("id", Type::Int8), Column::new("note", Type::Text)]).unwrap()
}

pub fn table(name: &str) -> TableName {
    TableName::new(name)
}

/// A target that has these tables, without keys: what is written twice is there twice.
pub fn target(tables: &[&str]) -> SimTarget {
    let target = SimTarget::new();
    for name in tables {
        target.create_table(&table(name), &schema(), &[]).unwrap();
    }
    target
}

/// Small batches, short pauses.
pub fn settings() -> Settings {
    Settings {
        memory_bytes: 1 << 20,
        batch_rows_max: 16,
        flush_after: Duration::from_millis(2),
        retry: Retry {
            pause: Duration::from_micros(200),
            pause_max: Duration::from_millis(2),
            seed: 1,
            ..Retry::default()
        },
        ..Settings::default()
    }
}

/// Settings under which nothing is applied before it is asked for.
pub fn patient() -> Settings {
    Settings { flush_after: Duration::from_secs(3600), batch_rows_max: 1 << 40, ..settings() }
}

pub fn spec(name: &str, lanes: u32) -> StreamSpec {
    StreamSpec {
        id: StreamId::new(name).unwrap(),
        destination: Destination::append(table(name)),
        schema: Arc::new(schema()),
        lanes: Some(lanes),
    }
}

pub fn lane(stream: &str, lane: u32) -> LaneId {
    LaneId { stream: StreamId::new(stream).unwrap(), lane }
}

/// Fails instead of hanging.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("done within 30 s")
}

/// Opens the store's log, waiting for a former owner to be gone.
pub async fn vec_log(store: &VecStore) -> VecLog {
    within(async {
        loop {
            match VecLog::open(store) {
                Ok(log) => return log,
                Err(LogError::InUse { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

pub async fn open(
    store: &VecStore,
    target: &SimTarget,
    settings: Settings,
) -> Result<Sink<VecLog>, SinkError> {
    let log = vec_log(store).await;
    within(open_on(log, target.connect(), settings)).await
}

pub async fn open_on<L: Log>(log: L, target: impl Target, settings: Settings) -> Result<Sink<L>, SinkError> {
    Sink::builder().target(target).log(log).settings(settings).open().await
}

/// Writes rows and waits until they are acknowledged.
pub async fn acknowledge<L: Log>(
    sink: &Sink<L>,
    stream: &Stream,
    ids: impl IntoIterator<Item = i64>,
) -> Result<(), SinkError> {
    within(sink.write(stream, stream.rows(&rows(ids))?)).await?.durable().await
}

/// The rows' names in the order in which they were applied.
pub fn ids(target: &SimTarget, name: &str) -> Vec<i64> {
    let values = target.values(&table(name));
    values
        .iter()
        .map(|row| match row[0] {
            Value::Int8(id) => id,
            ref other => panic!("{other:?}"),
        })
        .collect()
}

pub fn sorted(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not so after 30 s");
}

/// Rows for a lane, as one block.
pub fn in_lane(stream: &Stream, lane: u32, ids: impl IntoIterator<Item = i64>) -> Rows {
    Rows::from_blocks(vec![(lane, block(stream, ids))])
}

pub fn block(stream: &Stream, ids: impl IntoIterator<Item = i64>) -> standpipe_core::Block {
    let mut builder = standpipe_row::BlockBuilder::new(stream.schema().clone());
    for row in rows(ids) {
        builder.serialize(&row).unwrap();
    }
    builder.finish()
}
