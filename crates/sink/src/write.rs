use std::{
    future::Future,
    ops::Range,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use standpipe_buffer::{Budget, Permit, TokioClock};
use standpipe_core::Block;
use standpipe_log::{Log, LogError, Record, Ticket};
use tokio::sync::oneshot;

use crate::{
    Receipt, Rows, Sink, SinkError, Stream, acknowledge::Pending, clock, envelope, item::Item,
    retention::Released, sink::Logged, stream::LaneState,
};

/// Blocks of one write that go to the log as one record batch, at most.
const GROUP_BYTES_MAX: u64 = 1 << 20;

impl<L: Log> Sink<L> {
    /// Takes rows into the log and returns once they are in its queue; the receipt tells when they are durable and
    /// when they are applied. Waits while there is no room, in memory or in the log; load alone never fails it.
    ///
    /// Rows of one call up to 1 MiB (and a quarter of the memory), for however many lanes, are durable as a whole or not at all; of
    /// a larger call each such part is. Writes of one stream take their turns in the order in which they are first polled.
    ///
    /// # Errors
    /// [`SinkError::Timeout`] after `write_timeout`; [`SinkError::TooLarge`] and [`SinkError::Invalid`], by which nothing was taken;
    /// [`SinkError::Log`]; [`SinkError::Stream`]. Parts before the one that failed may have been taken.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready leaves the parts that were already taken in the log; they will be applied.
    pub async fn write(&self, stream: &Stream, rows: Rows) -> Result<Receipt, SinkError> {
        let logged = self.logged()?;
        self.check_stream(stream, true)?;
        let patience = Patience::of(self);
        let parts = self.parts(stream, &rows)?;
        let _turn = patience.wait(stream.state.turn.lock()).await?;
        let mut told = Vec::with_capacity(parts.len());
        let mut ends: Vec<(Arc<LaneState>, u64)> = Vec::new();
        for part in &parts {
            self.check_open(stream)?;
            let since = clock::now();
            let permit = self.admit(&self.shared.log_budget, part.size_bytes, &patience).await?;
            let ticket = self.append(logged, stream, &part.records(), &patience).await?;
            let last = ticket.lsn().number();
            let (sender, receiver) = oneshot::channel();
            let pending = Pending { ticket, rows: part.entries(), since, told: sender, permit };
            logged.pending.send(pending).map_err(|_| self.shared.failure().unwrap_or(SinkError::Closed))?;
            told.push(receiver);
            // The records of a batch have consecutive numbers.
            for (laid, behind) in part.blocks.iter().zip((0..part.blocks.len() as u64).rev()) {
                let end = last - behind + 1;
                match ends.iter_mut().find(|(lane, _)| Arc::ptr_eq(lane, &laid.lane)) {
                    Some((_, known)) => *known = end,
                    None => ends.push((laid.lane.clone(), end)),
                }
            }
        }
        Ok(Receipt::logged(told, ends))
    }

    /// Puts rows of a source that can be read again straight into their lanes. `range` is what these rows are of the source:
    /// ranges of one stream follow each other. For a lane that is past the range already, the rows are dropped: they were given before.
    /// Calls for one stream take their turns in the order in which they are first polled.
    ///
    /// All rows of a lane in one call are applied in one commit, and have to fit into the memory for the target together.
    ///
    /// # Errors
    /// [`SinkError::Invalid`] for a range that a lane's position falls into (cut the rows there), and for rows with an empty range.
    /// Others as [`write`](Sink::write).
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready leaves the rows of some lanes taken; the same call again goes on.
    pub async fn write_at(
        &self,
        stream: &Stream,
        range: Range<u64>,
        rows: Rows,
    ) -> Result<Receipt, SinkError> {
        self.check_stream(stream, false)?;
        if range.start > range.end || (range.is_empty() && !rows.is_empty()) {
            return Err(SinkError::Invalid(format!("stream {} takes no rows at {range:?}", stream.id())));
        }
        let patience = Patience::of(self);
        let source_position: Arc<str> = Arc::from(rows.source_position);
        let mut lanes: Vec<(Arc<LaneState>, Vec<Block>)> = Vec::new();
        for (lane, block) in rows.blocks {
            check_schema(stream, &block)?;
            let state = lane_state(stream, lane)?;
            match lanes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &state)) {
                Some((_, blocks)) => blocks.push(block),
                None => lanes.push((state, vec![block])),
            }
        }
        for (_, blocks) in &lanes {
            check_size(self.shared.budget(), size_bytes(blocks))?;
        }
        let _turn = patience.wait(stream.state.turn.lock()).await?;
        let mut given = Vec::with_capacity(lanes.len());
        for (lane, blocks) in lanes {
            given.push((is_taken(&lane, &range)?, lane, blocks));
        }
        let mut ends = Vec::with_capacity(given.len());
        for (is_taken, lane, blocks) in given {
            ends.push((lane.clone(), range.end));
            if is_taken {
                continue;
            }
            let permit = self.admit(self.shared.budget(), size_bytes(&blocks), &patience).await?;
            self.check_open(stream)?;
            self.shared.enqueue(
                Item {
                    lane,
                    blocks,
                    start: range.start,
                    end: range.end,
                    source_position: source_position.clone(),
                    complete: false,
                    since: clock::now(),
                    memory: permit.bytes(),
                },
                permit,
            )?;
        }
        Ok(Receipt::unlogged(ends))
    }

    /// Says that the source ends at `end`, and waits until all of it is applied and the ledger says that it is complete.
    ///
    /// # Errors
    /// [`SinkError::Invalid`] when rows from behind `end` were given; as [`Receipt::applied`].
    ///
    /// # Cancel safety
    /// Dropping the future does not take the end back.
    pub async fn finish(&self, stream: &Stream, end: u64, source_position: &str) -> Result<(), SinkError> {
        self.check_stream(stream, false)?;
        let patience = Patience::of(self);
        let source_position: Arc<str> = Arc::from(source_position);
        let turn = patience.wait(stream.state.turn.lock()).await?;
        if let Some(beyond) = stream.state.lanes.iter().find(|lane| lane.queued_end() > end) {
            let at = beyond.queued_end();
            return Err(SinkError::Invalid(format!(
                "{} is at {at}, behind the end {end} of its source",
                beyond.id
            )));
        }
        for lane in &stream.state.lanes {
            let block = standpipe_row::BlockBuilder::new(stream.schema.clone()).finish();
            let permit = self.admit(self.shared.budget(), block.size_bytes(), &patience).await?;
            self.check_open(stream)?;
            self.shared.enqueue(
                Item {
                    lane: lane.clone(),
                    blocks: vec![block],
                    start: end,
                    end,
                    source_position: source_position.clone(),
                    complete: true,
                    since: clock::now(),
                    memory: permit.bytes(),
                },
                permit,
            )?;
            self.shared.buffer.flush(&lane.id);
        }
        drop(turn);
        for lane in &stream.state.lanes {
            lane.wait_complete().await?;
        }
        Ok(())
    }

    /// Whether the stream is this sink's, and fed this way.
    fn check_stream(&self, stream: &Stream, logged: bool) -> Result<(), SinkError> {
        if stream.state.sink != self.shared.id {
            return Err(SinkError::Invalid(format!("stream {} was opened by another sink", stream.id())));
        }
        if stream.state.logged != logged {
            let (is, not) = if logged { ("`write_at`", "`write`") } else { ("`write`", "`write_at`") };
            return Err(SinkError::Invalid(format!("stream {} is fed by {is}, not by {not}", stream.id())));
        }
        self.check_open(stream)
    }

    fn check_open(&self, stream: &Stream) -> Result<(), SinkError> {
        self.shared.check_alive()?;
        match stream.state.failure() {
            Some(cause) => Err(SinkError::Stream { stream: stream.id().clone(), cause: Arc::new(cause) }),
            None => Ok(()),
        }
    }

    /// Cuts the blocks of a write into parts that the log takes as one, and refuses what it can never take.
    fn parts<'r>(&self, stream: &Stream, rows: &'r Rows) -> Result<Vec<Part<'r>>, SinkError> {
        let limit = GROUP_BYTES_MAX.min(self.shared.log_budget.limit());
        let mut parts: Vec<Part<'r>> = Vec::new();
        for (lane, block) in &rows.blocks {
            check_schema(stream, block)?;
            let mut header = Vec::new();
            envelope::encode(stream.state.number, *lane, &rows.source_position, block, &mut header);
            let laid = Laid { lane: lane_state(stream, *lane)?, header, block };
            let size_bytes = laid.size_bytes();
            check_size(&self.shared.log_budget, size_bytes)?;
            match parts.last_mut().filter(|part| part.size_bytes + size_bytes <= limit) {
                Some(part) => {
                    part.size_bytes += size_bytes;
                    part.blocks.push(laid);
                }
                None => parts.push(Part { blocks: vec![laid], size_bytes }),
            }
        }
        Ok(parts)
    }

    /// Memory for rows, in the order of asking.
    async fn admit(
        &self,
        budget: &Budget,
        size_bytes: u64,
        patience: &Patience,
    ) -> Result<Permit, SinkError> {
        let acquired = patience.wait(budget.admit(size_bytes, &TokioClock)).await?;
        acquired.map_err(|_| self.shared.failure().unwrap_or(SinkError::Closed))
    }

    /// Appends records, waiting for the log to let go of something where it is full.
    async fn append(
        &self,
        logged: &Logged<L>,
        stream: &Stream,
        records: &[[&[u8]; 2]],
        patience: &Patience,
    ) -> Result<L::Ticket, SinkError> {
        let mut dispatched = logged.dispatched.subscribe();
        loop {
            // Listening before asking: what happens between the two is not missed.
            let mut committed = pin!(self.shared.committed.notified());
            committed.as_mut().enable();
            let end = logged.log.end().number();
            let is_idle = *dispatched.borrow_and_update() >= end
                && !self.shared.logged_lanes().iter().any(|lane| lane.is_moving());
            self.check_open(stream)?;
            if let Ok(ticket) = try_append(&*logged.log, records)? {
                return Ok(ticket);
            }
            let released = self.release(logged, true).await?;
            self.check_open(stream)?;
            let full = match try_append(&*logged.log, records)? {
                Ok(ticket) => return Ok(ticket),
                Err(full) => full,
            };
            if is_idle && released == Released::AllThatCan && logged.log.end().number() == end {
                // All that can be applied was, and let go of: the disk is full, the limit is smaller than two segments, or
                // a stream that stopped holds the rest.
                return Err(full.into());
            }
            let _pressure = self.shared.buffer.pressure();
            patience
                .wait(async {
                    tokio::select! {
                        () = committed => {}
                        _ = dispatched.changed() => {}
                    }
                })
                .await?;
        }
    }
}

/// The record or batch, or why there is no room for it now.
fn try_append<L: Log>(log: &L, records: &[[&[u8]; 2]]) -> Result<Result<L::Ticket, LogError>, SinkError> {
    let records: Vec<Record<'_>> = records.iter().map(|parts| Record::new(parts)).collect();
    let appended = match &records[..] {
        [record] => log.append(*record),
        records => log.append_batch(records),
    };
    match appended {
        Ok(ticket) => Ok(Ok(ticket)),
        Err(full @ LogError::Full { .. }) => Ok(Err(full)),
        Err(error) => Err(error.into()),
    }
}

/// What of a write the log takes as one.
struct Part<'r> {
    blocks: Vec<Laid<'r>>,
    size_bytes: u64,
}

/// A block with what goes before it in its record.
struct Laid<'r> {
    lane: Arc<LaneState>,
    header: Vec<u8>,
    block: &'r Block,
}

impl Part<'_> {
    fn entries(&self) -> u64 {
        self.blocks.iter().map(|laid| laid.block.entries()).sum()
    }

    fn records(&self) -> Vec<[&[u8]; 2]> {
        self.blocks.iter().map(|laid| [&laid.header[..], &laid.block.tuples[..]]).collect()
    }
}

impl Laid<'_> {
    fn size_bytes(&self) -> u64 {
        (self.header.len() + self.block.tuples.len()) as u64
    }
}

/// How long a write may still wait, over all its waits.
struct Patience(Option<(Instant, Duration)>);

impl Patience {
    fn of<L: Log>(sink: &Sink<L>) -> Self {
        Patience(
            sink.shared
                .settings
                .write_timeout
                .and_then(|limit| Some((clock::now().checked_add(limit)?, limit))),
        )
    }

    async fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, SinkError> {
        match self.0 {
            None => Ok(future.await),
            Some((until, limit)) => {
                tokio::time::timeout_at(until.into(), future).await.map_err(|_| SinkError::Timeout(limit))
            }
        }
    }
}

fn check_schema(stream: &Stream, block: &Block) -> Result<(), SinkError> {
    if Arc::ptr_eq(&block.schema, &stream.schema) || block.schema == stream.schema {
        return Ok(());
    }
    Err(SinkError::Invalid(format!("a block for stream {} has another schema", stream.id())))
}

fn check_size(budget: &Budget, size_bytes: u64) -> Result<(), SinkError> {
    let limit_bytes = budget.limit();
    if size_bytes > limit_bytes { Err(SinkError::TooLarge { size_bytes, limit_bytes }) } else { Ok(()) }
}

fn size_bytes(blocks: &[Block]) -> u64 {
    blocks.iter().map(Block::size_bytes).sum()
}

fn lane_state(stream: &Stream, lane: u32) -> Result<Arc<LaneState>, SinkError> {
    stream.state.lanes.get(lane as usize).cloned().ok_or_else(|| {
        SinkError::Invalid(format!("stream {} has {} lanes, no lane {lane}", stream.id(), stream.lanes()))
    })
}

/// Whether the lane has these rows already.
fn is_taken(lane: &LaneState, range: &Range<u64>) -> Result<bool, SinkError> {
    let queued = lane.queued_end();
    if range.start >= queued {
        return Ok(false);
    }
    if range.end <= queued {
        return Ok(true);
    }
    Err(SinkError::Invalid(format!("{} is at {queued}, inside of {range:?}: cut the rows there", lane.id)))
}
