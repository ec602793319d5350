//! What the cases share: two connections, names, batches.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A case fails by panicking.

use std::sync::Arc;

use bytes::Bytes;
use standpipe_core::{
    Advance, Batch, Branch, Claim, ClaimRequest, Column, DeadLetter, Destination, Error, LaneId, LedgerRow,
    Mode, Reject, Schema, SourceId, StreamId, TableName, Target, Type, Window,
};

use super::TargetFixture;
use crate::target::{Value, block};

/// One case's connections and names.
pub(crate) struct World<'a> {
    pub(crate) fixture: &'a dyn TargetFixture,
    case: &'static str,
    /// The connection of the one who was first.
    pub(crate) a: Arc<dyn Target>,
    /// The connection of the one who comes later.
    pub(crate) b: Arc<dyn Target>,
}

pub(crate) const ORIGIN: u64 = 1;

impl<'a> World<'a> {
    pub(crate) async fn new(fixture: &'a dyn TargetFixture, case: &'static str) -> Self {
        World { fixture, case, a: fixture.open().await, b: fixture.open().await }
    }

    pub(crate) fn stream(&self, part: &str) -> StreamId {
        StreamId::new(format!("{}/{part}{}", self.case, self.fixture.suffix())).unwrap()
    }

    /// Short, because databases cut or refuse names beyond 63 bytes.
    pub(crate) fn name(&self, part: &str) -> TableName {
        let hash = self
            .case
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        TableName::new(format!("t{hash:08x}_{part}{}", self.fixture.suffix()))
    }

    /// A table of `id` and `name`, without a key.
    pub(crate) async fn table(&self, part: &str) -> TableName {
        self.table_of(part, &pair(), &[]).await
    }

    /// A table of `id` and `name` whose key is `id`.
    pub(crate) async fn keyed(&self, part: &str) -> TableName {
        self.table_of(part, &pair(), &["id"]).await
    }

    pub(crate) async fn table_of(&self, part: &str, schema: &Schema, key: &[&str]) -> TableName {
        let table = self.name(part);
        let key: Vec<String> = key.iter().map(|column| (*column).to_owned()).collect();
        self.a.create(&table, schema, &key).await.unwrap();
        table
    }

    pub(crate) fn request(&self, part: &str, lanes: u32) -> ClaimRequest {
        ClaimRequest {
            stream: self.stream(part),
            lanes: Some(lanes),
            source: SourceId::new("log:suite").unwrap(),
            window: Window::everything(),
            origin: ORIGIN,
            reopen: false,
            owner: "suite".into(),
        }
    }

    /// Claims a stream of one lane on the first connection.
    pub(crate) async fn claim(&self, part: &str) -> Claim {
        only(self.a.claim(&self.request(part, 1)).await.unwrap())
    }

    /// Claims a stream of one lane on the second connection.
    pub(crate) async fn take_over(&self, part: &str) -> Claim {
        only(self.b.claim(&self.request(part, 1)).await.unwrap())
    }

    pub(crate) async fn ledger(&self, part: &str) -> Vec<LedgerRow> {
        self.b.ledger(Some(&self.stream(part))).await.unwrap()
    }

    /// The position of a stream's lane 0.
    pub(crate) async fn position(&self, part: &str) -> u64 {
        self.ledger(part).await.first().map_or(0, |row| row.position)
    }

    pub(crate) async fn rows(&self, table: &TableName) -> Vec<Vec<Option<String>>> {
        self.fixture.rows(table).await
    }

    /// The first column as numbers.
    pub(crate) async fn ids(&self, table: &TableName) -> Vec<i64> {
        let id = |row: &Vec<Option<String>>| row[0].as_deref().unwrap().parse().unwrap();
        self.rows(table).await.iter().map(id).collect()
    }

    /// The first column as numbers in their own order, where the table has a key that may have changed it.
    pub(crate) async fn sorted_ids(&self, table: &TableName) -> Vec<i64> {
        let mut ids = self.ids(table).await;
        ids.sort_unstable();
        ids
    }
}

/// Compares long lists, and prints the first difference only.
pub(crate) fn assert_same_ids(found: &[i64], expected: &[i64], what: &str) {
    let place = found.iter().zip(expected).position(|(one, other)| one != other);
    if let Some(place) = place {
        panic!("{what}: row {place} is {}, expected {}", found[place], expected[place]);
    }
    assert_eq!(found.len(), expected.len(), "{what}: rows");
}

/// `id int8, name text`
pub(crate) fn pair() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Column::new("id", Type::Int8), Column::new("name", Type::Text)]).unwrap())
}

pub(crate) fn only(claims: Vec<Claim>) -> Claim {
    assert_eq!(claims.len(), 1, "one lane, one claim: {claims:?}");
    claims.into_iter().next().unwrap()
}

pub(crate) fn to(position: u64) -> Advance {
    Advance { position, source_position: format!("at {position}"), complete: false }
}

pub(crate) fn id_rows(ids: &[i64]) -> Vec<Vec<Value>> {
    ids.iter().map(|id| vec![Value::Int8(*id), Value::text(format!("row {id}"))]).collect()
}

/// Blocks of `id` and `name`, one for each slice of ids.
pub(crate) fn batch(lane: &LaneId, table: &TableName, blocks: &[&[i64]]) -> Batch {
    let schema = pair();
    Batch {
        lane: lane.clone(),
        destination: Arc::new(Destination::append(table.clone())),
        blocks: blocks.iter().map(|ids| block(&schema, &id_rows(ids))).collect(),
    }
}

pub(crate) fn in_mode(batch: Batch, mode: Mode, key: &[&str]) -> Batch {
    let key = key.iter().map(|column| (*column).to_owned()).collect();
    Batch { destination: Arc::new(Destination { mode, key, ..(*batch.destination).clone() }), ..batch }
}

/// A dead letter of the claim's position, awkward in every field.
pub(crate) fn letter(claim: &Claim, table: &TableName, ordinal: u32) -> DeadLetter {
    DeadLetter {
        lane: claim.lane.clone(),
        position: claim.position,
        ordinal,
        table: table.clone(),
        origin: Arc::from("in'put.csv"),
        line: (ordinal > 0).then_some(u64::from(ordinal)),
        column: (ordinal > 0).then(|| "na\"me".to_owned()),
        code: (ordinal > 1).then(|| "23505".to_owned()),
        reason: "expected a number, got \u{1f6b0}'".to_owned(),
        row: Bytes::from_static(b"1,\xff\xfe,'x'"),
    }
}

/// A branch of one lane with these rows in it, not yet advanced.
pub(crate) async fn begin_with(target: &dyn Target, claim: &Claim, batch: &Batch) -> Box<dyn Branch> {
    let mut branch = target.begin(&[claim], None).await.unwrap();
    let rejects = branch.write(batch).await.unwrap();
    assert_eq!(rejects, [], "none of these rows is bad");
    branch
}

/// Writes, advances and commits; returns what was refused. `claim` moves along.
pub(crate) async fn apply(
    target: &dyn Target,
    batch: &Batch,
    claim: &mut Claim,
    end: u64,
) -> Result<Vec<Reject>, Error> {
    let mut branch = target.begin(&[claim], None).await?;
    let rejects = branch.write(batch).await?;
    branch.advance(claim, &to(end)).await?;
    branch.commit().await?;
    claim.position = end;
    claim.source_position = to(end).source_position;
    Ok(rejects)
}

pub(crate) fn assert_fenced(outcome: Result<(), Error>, what: &str) {
    match outcome {
        Err(Error::Fenced { .. }) => {}
        other => panic!("{what}: expected Fenced, got {other:?}"),
    }
}
