use std::{sync::Arc, time::Instant};

use standpipe_core::{
    Advance, Batch, Block, ClaimRequest, Destination, Schema, SourceId, StreamId, TableName, Target, Window,
};
use standpipe_harness::{Context, Outcome, Sample, check};
use standpipe_row::BlockBuilder;
use standpipe_sqlite::Sqlite;
use tokio::runtime::Builder;

use super::closed_loop;
use crate::{
    hot::flight::{CYCLE, Flight},
    setup::settings,
};

const BATCH_ROWS: u64 = 1000;

pub(super) fn run(context: &Context) -> Outcome<Sample> {
    let path = context.dir("database")?.join("flights.db");
    let runtime = Builder::new_current_thread().build()?;
    let table = TableName::new("flights");
    let schema = Arc::new(Flight::schema()?);
    let target = runtime.block_on(Sqlite::open(&path, settings::sqlite(&context.settings)?))?;
    runtime.block_on(target.create(&table, &schema, &["id".to_owned()]))?;
    let claims = runtime.block_on(target.claim(&ClaimRequest {
        stream: StreamId::new("flights")?,
        lanes: Some(1),
        source: SourceId::new("bench")?,
        window: Window::everything(),
        origin: 0,
        reopen: false,
        owner: "bench".to_owned(),
    }))?;
    let mut claim = claims.into_iter().next().ok_or("a new stream has a lane")?;
    let destination = Arc::new(Destination::append(table));
    let flights = Flight::cycle()?;

    let mut applied = 0;
    let latency = closed_loop(context, || {
        let block = block(&schema, &flights, applied)?;
        let batch = Batch { lane: claim.lane.clone(), destination: destination.clone(), blocks: vec![block] };
        applied += BATCH_ROWS;
        let to = Advance { position: applied, source_position: applied.to_string(), complete: false };
        let began = Instant::now();
        let rejects = runtime.block_on(async {
            let mut branch = target.begin(&[&claim], None).await?;
            let rejects = branch.write(&batch).await?;
            branch.advance(&claim, &to).await?;
            branch.commit().await?;
            Outcome::Ok(rejects)
        })?;
        let ended = Instant::now();
        check("rejected rows", rejects.len(), 0)?;
        claim.position = to.position;
        Ok((began, ended))
    })?;
    runtime.block_on(target.close())?;

    let applied = i64::try_from(applied)?;
    let expected = (applied, 0, applied - 1);
    let read = rusqlite::Connection::open(&path)?;
    let found: (i64, i64, i64) =
        read.query_row("SELECT count(*), min(id), max(id) FROM flights", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    check("rows in the table, first and last", found, expected)?;
    Ok(Sample::of([]).with_latency(&latency))
}

/// The rows from `first` on.
fn block(schema: &Arc<Schema>, flights: &[Flight], first: u64) -> Outcome<Block> {
    let mut builder = BlockBuilder::with_capacity(schema.clone(), 128 << 10);
    for id in first..first + BATCH_ROWS {
        flights[(id % CYCLE) as usize].write(i64::try_from(id)?, &mut builder)?;
    }
    Ok(builder.finish())
}
