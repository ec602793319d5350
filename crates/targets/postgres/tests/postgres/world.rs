//! A writer of one stream, and batches.

use std::sync::Arc;

use standpipe_core::{
    Advance, Batch, Block, Branch, Claim, ClaimRequest, Column, Destination, Error, LaneId, Mode, Reject,
    Schema, SourceId, StreamId, TableName, Target, Type, Window,
};
use standpipe_postgres::{Postgres, Settings};
use standpipe_testkit::target::{Value, block};

use crate::server::Database;

/// Who writes a stream of one lane.
pub(crate) struct Writer {
    pub(crate) target: Postgres,
    pub(crate) claim: Claim,
}

impl Writer {
    pub(crate) async fn new(database: &Database, stream: &str) -> Self {
        Self::with(database, stream, Settings::default()).await
    }

    pub(crate) async fn with(database: &Database, stream: &str, settings: Settings) -> Self {
        Self::on(database.open_with(settings).await, stream).await
    }

    pub(crate) async fn on(target: Postgres, stream: &str) -> Self {
        let claim = target.claim(&request(stream)).await.unwrap().remove(0);
        Writer { target, claim }
    }

    pub(crate) async fn begin(&self) -> Result<Box<dyn Branch>, Error> {
        self.target.begin(&[&self.claim], None).await
    }

    /// Writes, advances by one and commits. Returns what was refused.
    pub(crate) async fn apply(&mut self, batch: &Batch) -> Result<Vec<Reject>, Error> {
        let mut branch = self.begin().await?;
        let rejects = branch.write(batch).await?;
        branch.advance(&self.claim, &to(self.claim.position + 1)).await?;
        branch.commit().await?;
        self.claim.position += 1;
        Ok(rejects)
    }

    /// As [`apply`](Self::apply), and again as long as the target asks for it.
    pub(crate) async fn persist(&mut self, batch: &Batch) -> Result<Vec<Reject>, Error> {
        for _ in 0..20 {
            match self.apply(batch).await {
                Err(error) if error.kind() == standpipe_core::ErrorKind::Retry => {}
                outcome => return outcome,
            }
        }
        self.apply(batch).await
    }
}

pub(crate) fn request(stream: &str) -> ClaimRequest {
    ClaimRequest {
        stream: StreamId::new(stream).unwrap(),
        lanes: Some(1),
        source: SourceId::new("test:1").unwrap(),
        window: Window::everything(),
        origin: 1,
        reopen: false,
        owner: "test".into(),
    }
}

pub(crate) fn to(position: u64) -> Advance {
    Advance { position, source_position: String::new(), complete: false }
}

pub(crate) fn schema(columns: &[(&str, Type)]) -> Arc<Schema> {
    Arc::new(Schema::new(columns.iter().map(|(name, kind)| Column::new(*name, *kind)).collect()).unwrap())
}

pub(crate) fn destination(table: &str, mode: Mode, key: &[&str]) -> Destination {
    let key = key.iter().map(|column| (*column).to_owned()).collect();
    Destination { table: TableName::new(table), mode, key }
}

pub(crate) fn batch(to: Destination, blocks: Vec<Block>) -> Batch {
    let lane = LaneId { stream: StreamId::new("any").unwrap(), lane: 0 };
    Batch { lane, destination: Arc::new(to), blocks }
}

/// One block for a table.
pub(crate) fn append(table: &str, columns: &[(&str, Type)], rows: &[Vec<Value>]) -> Batch {
    batch(destination(table, Mode::Append, &[]), vec![block(&schema(columns), rows)])
}

/// One block for a table with a key.
pub(crate) fn merge(
    table: &str,
    mode: Mode,
    key: &[&str],
    columns: &[(&str, Type)],
    rows: &[Vec<Value>],
) -> Batch {
    batch(destination(table, mode, key), vec![block(&schema(columns), rows)])
}

/// Both ways of a merge: arrays, and a temporary table.
pub(crate) fn both_ways() -> [Settings; 2] {
    [0, 1_000_000].map(|unnest_rows_max| Settings { unnest_rows_max, ..Settings::default() })
}

/// Where the bad rows are, and what they are called.
pub(crate) fn codes(rejects: &[Reject]) -> Vec<(usize, u32, &str)> {
    rejects.iter().map(|reject| (reject.block, reject.row, reject.code.as_deref().unwrap_or(""))).collect()
}

pub(crate) fn text(value: &str) -> Value {
    Value::text(value)
}
