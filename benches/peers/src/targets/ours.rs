use std::{path::Path, sync::Arc, time::Duration};

use standpipe::{
    Destination, Mode, Postgres, Rows, Settings, Sink, SourceId, Stream, StreamId, StreamSpec, TableName,
    Target, Wal, Window,
    core::{Advance, Batch, Block, Claim, ClaimRequest, LaneId},
    postgres,
    sink::NoLog,
};
use standpipe_harness::Outcome;

use super::{
    clock::Clock,
    data::{range_after, rows_of},
};

/// How long a sink may take to close.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Where rows go.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) table: String,
    pub(crate) mode: Mode,
    pub(crate) settings: postgres::Settings,
}

impl Place {
    pub(crate) fn append(url: String, table: &str) -> Self {
        Place { url, table: table.to_owned(), mode: Mode::Append, settings: postgres::Settings::default() }
    }

    pub(crate) fn upsert(url: String, table: &str) -> Self {
        Place { mode: Mode::Upsert, ..Place::append(url, table) }
    }

    pub(crate) async fn open(&self) -> Outcome<Arc<dyn Target>> {
        Ok(Arc::new(Postgres::connect(&self.url.parse()?, self.settings.clone()).await?))
    }

    fn destination(&self) -> Destination {
        let key = if self.mode == Mode::Append { Vec::new() } else { vec!["id".to_owned()] };
        Destination { table: TableName::new(&self.table), mode: self.mode, key }
    }

    pub(crate) fn spec(&self, blocks: &[Block]) -> Outcome<StreamSpec> {
        let schema = Arc::clone(&blocks.first().ok_or("no rows")?.schema);
        Ok(StreamSpec {
            id: StreamId::new(self.table.as_str())?,
            destination: self.destination(),
            schema,
            lanes: None,
        })
    }
}

/// Whether a branch moves its place in the ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ledger {
    Kept,
    /// Neither exactly once nor fenced: what the ledger costs.
    LeftOut,
}

/// Branches one after the other, without a sink: each writes a batch, moves the ledger and commits. The first one is not timed.
pub(crate) async fn branches<'b>(
    place: &Place,
    batches: impl Iterator<Item = &'b [Block]>,
    ledger: Ledger,
    clock: &mut Clock,
) -> Outcome<u64> {
    let target = place.open().await?;
    let request = ClaimRequest {
        stream: StreamId::new(place.table.as_str())?,
        lanes: None,
        source: SourceId::new("flights")?,
        window: Window::everything(),
        origin: 0,
        reopen: false,
        owner: "peers".to_owned(),
    };
    let mut claims = target.claim(&request).await?;
    let claim = claims.first_mut().ok_or("no lane")?;
    let lane = LaneId { stream: StreamId::new(place.table.as_str())?, lane: 0 };
    let destination = Arc::new(place.destination());
    let mut rows = 0;
    clock.start()?;
    for blocks in batches {
        let batch =
            Batch { lane: lane.clone(), destination: Arc::clone(&destination), blocks: blocks.to_vec() };
        branch(&*target, claim, &batch, ledger).await?;
        rows += rows_of(blocks);
    }
    clock.stop()?;
    target.close().await?;
    Ok(rows)
}

async fn branch(target: &dyn Target, claim: &mut Claim, batch: &Batch, ledger: Ledger) -> Outcome<()> {
    let mut branch = target.begin(&[claim], None).await?;
    if let Some(reject) = branch.write(batch).await?.first() {
        return Err(format!("refused: {}", reject.reason).into());
    }
    if ledger == Ledger::Kept {
        let position = claim.position + batch.rows();
        branch.advance(claim, &Advance { position, source_position: String::new(), complete: false }).await?;
        claim.position = position;
    }
    Ok(branch.commit().await?)
}

/// The sink's defaults, and batches of so many rows.
pub(crate) fn settings(batch_rows: usize) -> Settings {
    Settings { batch_rows_max: batch_rows as u64, ..Settings::default() }
}

/// A sink without a log; rows are positions.
pub(crate) async fn sink<'b>(
    place: &Place,
    batches: impl Iterator<Item = &'b [Block]>,
    settings: Settings,
    clock: &mut Clock,
) -> Outcome<u64> {
    let batches: Vec<_> = batches.collect();
    let target = place.open().await?;
    let (sink, stream) =
        source(place, Arc::clone(&target), batches.first().ok_or("no rows")?, settings).await?;
    clock.start()?;
    let mut at = 0;
    for blocks in batches {
        for block in blocks {
            let range = range_after(&mut at, std::slice::from_ref(block));
            let _flushed = sink.write_at(&stream, range, Rows::from_block(block.clone())).await?;
        }
    }
    sink.flush().await?;
    clock.stop()?;
    sink.close(LONG).await?;
    target.close().await?;
    Ok(at)
}

/// A sink without a log, and its stream.
pub(crate) async fn source(
    place: &Place,
    target: Arc<dyn Target>,
    blocks: &[Block],
    settings: Settings,
) -> Outcome<(Sink<NoLog>, Stream)> {
    let sink = Sink::builder().shared_target(target).settings(settings).open().await?;
    let opened =
        sink.source(place.spec(blocks)?, SourceId::new("flights")?, Window::everything(), false).await?;
    let stream = opened.ok_or("it is complete already")?;
    Ok((sink, stream))
}

/// With the durable log in front.
pub(crate) async fn logged<'b>(
    place: &Place,
    batches: impl Iterator<Item = &'b [Block]>,
    settings: Settings,
    log: &Path,
    clock: &mut Clock,
) -> Outcome<u64> {
    let batches: Vec<_> = batches.collect();
    let target = place.open().await?;
    let log = Wal::open(log, standpipe::wal::Settings::default())?;
    let sink = Sink::builder().shared_target(Arc::clone(&target)).log(log).settings(settings).open().await?;
    let stream = sink.stream(place.spec(batches.first().ok_or("no rows")?)?).await?;
    clock.start()?;
    let mut rows = 0;
    for blocks in batches {
        for block in blocks {
            let _flushed = sink.write(&stream, Rows::from_block(block.clone())).await?;
            rows += u64::from(block.rows);
        }
    }
    sink.flush().await?;
    clock.stop()?;
    sink.close(LONG).await?;
    target.close().await?;
    Ok(rows)
}
