//! Loads of one batch, for the tests that are named after it.

use std::sync::Arc;

use standpipe_core::{
    Advance, Batch, Claim, ClaimRequest, Column, DeadLetter, Destination, Error, LaneId, Mode, Reject,
    Schema, SourceId, StreamId, TableName, Target, Type, Window,
};
use standpipe_postgres::{Postgres, Settings};
use standpipe_testkit::target::{Value, block};

use crate::server::Database;

pub(crate) const ID: (&str, Type) = ("id", Type::Int8);

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

pub(crate) async fn claimed(target: &Postgres, stream: &str) -> Claim {
    target.claim(&request(stream)).await.unwrap().remove(0)
}

/// Rows of these columns for a table; every mode but append by `id`.
pub(crate) fn batch(table: &str, mode: Mode, columns: &[(&str, Type)], rows: &[Vec<Value>]) -> Batch {
    let named = columns.iter().map(|(name, kind)| Column::new(*name, *kind)).collect();
    let key = if mode == Mode::Append { Vec::new() } else { vec!["id".to_owned()] };
    Batch {
        lane: LaneId { stream: StreamId::new("any").unwrap(), lane: 0 },
        destination: Arc::new(Destination { table: TableName::new(table), mode, key }),
        blocks: vec![block(&Arc::new(Schema::new(named).unwrap()), rows)],
    }
}

/// One transaction: rows, letters and the ledger's position.
pub(crate) async fn apply(
    target: &Postgres,
    claim: &mut Claim,
    batch: &Batch,
    letters: &[DeadLetter],
) -> Result<Vec<Reject>, Error> {
    let mut branch = target.begin(&[claim], None).await?;
    let rejects = branch.write(batch).await?;
    branch.dead_letter(&TableName::new("letters"), letters).await?;
    let to = Advance { position: claim.position + 1, source_position: String::new(), complete: false };
    branch.advance(claim, &to).await?;
    branch.commit().await?;
    claim.position += 1;
    Ok(rejects)
}

/// Appended; merged as arrays; merged by way of a temporary table.
pub(crate) fn ways() -> [(Mode, Settings); 3] {
    let merged = |unnest_rows_max| (Mode::Upsert, Settings { unnest_rows_max, ..Settings::default() });
    [(Mode::Append, Settings::default()), merged(1_000_000), merged(0)]
}

/// Somebody who loads in one way.
pub(crate) struct Loader {
    pub(crate) target: Postgres,
    claim: Claim,
    mode: Mode,
}

impl Loader {
    pub(crate) async fn new(database: &Database, (mode, settings): (Mode, Settings)) -> Self {
        let target = database.open_with(settings.clone()).await;
        let claim = claimed(&target, &format!("{mode:?}{}", settings.unnest_rows_max)).await;
        Loader { target, claim, mode }
    }

    /// In each of the [`ways`].
    pub(crate) async fn all(database: &Database) -> Vec<Self> {
        let mut all = Vec::new();
        for way in ways() {
            all.push(Self::new(database, way).await);
        }
        all
    }

    /// The numbers of the refused rows, their codes and why.
    pub(crate) async fn load(
        &mut self,
        table: &str,
        columns: &[(&str, Type)],
        rows: &[Vec<Value>],
    ) -> Result<Vec<(u32, String, String)>, Error> {
        let batch = batch(table, self.mode, columns, rows);
        let rejects = apply(&self.target, &mut self.claim, &batch, &[]).await?;
        let named = |reject: Reject| (reject.row, reject.code.unwrap_or_default(), reject.reason);
        Ok(rejects.into_iter().map(named).collect())
    }
}
