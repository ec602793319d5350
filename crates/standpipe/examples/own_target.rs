//! A target of one's own: rows become lines of a file. `cargo run -p standpipe --example own_target -- FILE`.
//!
//! A file takes no rows and position in one step, and the ledger here ends with the process: a second life writes the
//! rows again. So it says `AtLeastOnce`, and a sink takes it only when it is told to.

use std::{
    fs::OpenOptions,
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use standpipe::{
    Column, Error, Guarantee, Schema, Sink, SourceId, StreamId, StreamSpec, TableName, Target, Type, Window,
    core::{
        Advance, Batch, Branch, Claim, ClaimRequest, DeadLetter, LEDGER_FORMAT, LaneId, LedgerRow, Reject,
        Resolution, TableShape, Verdict, Xid, async_trait,
    },
    row::Tuples,
};

#[derive(Clone)]
struct Lines {
    path: PathBuf,
    ledger: Arc<Mutex<Vec<LedgerRow>>>,
}

impl Lines {
    fn ledger(&self) -> MutexGuard<'_, Vec<LedgerRow>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Target for Lines {
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, Error> {
        let mut ledger = self.ledger();
        let is_ours = |row: &&mut LedgerRow| row.lane.stream == request.stream;
        let known: Vec<_> = ledger.iter().filter(|row| row.lane.stream == request.stream).cloned().collect();
        match request.judge(&known)? {
            Verdict::Complete => return Ok(Vec::new()),
            Verdict::Insert { lanes } => ledger.extend((0..lanes).map(|lane| new_row(request, lane, lanes))),
            Verdict::Take => {}
        }
        Ok(ledger.iter_mut().filter(is_ours).map(take).collect())
    }

    async fn begin(&self, _: &[&Claim], _: Option<&Xid>) -> Result<Box<dyn Branch>, Error> {
        Ok(Box::new(Open { target: self.clone(), lines: String::new(), moves: Vec::new() }))
    }

    async fn resolve(&self, moves: &[(Claim, u64)]) -> Result<Resolution, Error> {
        let ledger = self.ledger();
        let is_done =
            |(claim, to): &(Claim, u64)| ledger.iter().any(|r| r.lane == claim.lane && r.position >= *to);
        Ok(if moves.iter().all(is_done) { Resolution::Committed } else { Resolution::NotCommitted })
    }

    async fn ledger(&self, stream: Option<&StreamId>) -> Result<Vec<LedgerRow>, Error> {
        let is_wanted = |row: &&LedgerRow| stream.is_none_or(|stream| row.lane.stream == *stream);
        Ok(self.ledger().iter().filter(is_wanted).cloned().collect())
    }

    async fn describe(&self, _: &TableName) -> Result<Option<TableShape>, Error> {
        Ok(None)
    }

    async fn create(&self, _: &TableName, _: &Schema, _: &[String]) -> Result<(), Error> {
        Ok(())
    }

    async fn add_column(&self, _: &TableName, _: &Column) -> Result<(), Error> {
        Ok(())
    }
}

/// A commit in the making.
struct Open {
    target: Lines,
    lines: String,
    moves: Vec<(Claim, Advance)>,
}

#[async_trait]
impl Branch for Open {
    async fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>, Error> {
        for tuple in batch.blocks.iter().flat_map(Tuples::new) {
            self.lines.push_str(&tuple?.render_json()?);
            self.lines.push('\n');
        }
        Ok(Vec::new())
    }

    async fn dead_letter(&mut self, table: &TableName, _: &[DeadLetter]) -> Result<(), Error> {
        Err(Error::invalid(format!("a file of lines has no table {table} for dead letters")))
    }

    async fn advance(&mut self, claim: &Claim, to: &Advance) -> Result<(), Error> {
        self.moves.push((claim.clone(), to.clone()));
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), Error> {
        let mut ledger = self.target.ledger();
        for (claim, _) in &self.moves {
            let is_held =
                |r: &LedgerRow| (&r.lane, r.epoch, r.position) == (&claim.lane, claim.epoch, claim.position);
            if !ledger.iter().any(is_held) {
                return Err(Error::Fenced { lane: claim.lane.clone(), epoch: claim.epoch });
            }
        }
        // Blocks this thread; a target for production has a thread of its own. After a failure some lines may be there.
        let file = OpenOptions::new().create(true).append(true).open(&self.target.path);
        let written =
            file.and_then(|mut file| file.write_all(self.lines.as_bytes()).and_then(|()| file.sync_data()));
        written.map_err(|error| Error::in_doubt(error.to_string()))?;
        for (claim, to) in &self.moves {
            for row in ledger.iter_mut().filter(|row| row.lane == claim.lane) {
                (row.position, row.complete) = (to.position, to.complete);
                row.source_position.clone_from(&to.source_position);
            }
        }
        Ok(())
    }

    async fn rollback(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

fn new_row(request: &ClaimRequest, lane: u32, lanes: u32) -> LedgerRow {
    LedgerRow {
        lane: LaneId { stream: request.stream.clone(), lane },
        lanes,
        epoch: 0,
        position: request.origin,
        source: request.source.clone(),
        source_position: String::new(),
        complete: false,
        format: LEDGER_FORMAT,
        owner: request.owner.clone(),
        updated_at: String::new(),
    }
}

/// Fences whoever had the lane.
fn take(row: &mut LedgerRow) -> Claim {
    (row.epoch, row.complete) = (row.epoch + 1, false);
    let (position, source_position) = (row.position, row.source_position.clone());
    Claim { lane: row.lane.clone(), lanes: row.lanes, epoch: row.epoch, position, source_position }
}

#[derive(Serialize)]
struct Reading {
    sensor: i64,
    celsius: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name a file")?.into();
    let sink = Sink::builder().target(Lines { path, ledger: Arc::default() }).at_least_once().open().await?;
    let schema = Schema::new(vec![Column::new("sensor", Type::Int8), Column::new("celsius", Type::Float8)])?;
    let spec = StreamSpec::append("readings", schema)?;
    // These rows can be made again, so they need no log: their source counts them from 0.
    let source = sink.source(spec, SourceId::new("example")?, Window::everything(), false).await?;
    let stream = source.ok_or("complete already")?;
    let readings = [Reading { sensor: 7, celsius: 21.5 }, Reading { sensor: 8, celsius: 19.0 }];
    sink.write_at(&stream, 0..2, stream.rows(&readings)?).await?;
    sink.finish(&stream, 2, "").await?;
    sink.close(Duration::from_secs(10)).await?;
    Ok(())
}
