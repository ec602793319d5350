use std::{
    fmt,
    future::Future,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use standpipe_buffer::{Budget, Permit};
use standpipe_core::{ClaimRequest, SourceId, Target, Window};
use standpipe_log::{Log, LogError, Record, Ticket};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::{
    NoLog, Receipt, Rows, SinkBuilder, SinkError, Stream, StreamSpec,
    acknowledge::Pending,
    dispatch::panic_text,
    envelope,
    item::Item,
    pins::{self, StreamPin},
    recover::{Memory, source_of, trim_dead_letters},
    retention,
    shared::Shared,
    stream::{LaneState, StreamState},
};

/// The write path: rows in, each exactly once in its table.
///
/// With a log ([`write`](Sink::write)) a row is safe from the moment its receipt says `durable`. Without one
/// ([`write_at`](Sink::write_at)) the caller's source can be read again from any position that was applied.
///
/// Dropping a sink without [`close`](Sink::close) loses nothing acknowledged: it stays in the log for the next life.
pub struct Sink<L: Log = NoLog> {
    shared: Arc<Shared>,
    logged: Option<Logged<L>>,
    running: Running,
}

/// How a sink was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Records of the log that are acknowledged and not applied yet: the next life applies them.
    pub left_in_log: u64,
    /// Rows given to `write_at` that were not applied: their source has them.
    pub not_applied_rows: u64,
}

/// What a sink with a log has besides.
pub(crate) struct Logged<L: Log> {
    log: Arc<L>,
    budget: Budget,
    pending: mpsc::UnboundedSender<Pending<L::Ticket>>,
    dispatched: Arc<watch::Sender<u64>>,
    /// Held while a stream is registered.
    memory: Mutex<Memory>,
    /// Held while the log is truncated: relief runs once, not once a waiter.
    relief: Arc<Mutex<()>>,
}

impl<L: Log> Logged<L> {
    pub(crate) fn new(
        log: Arc<L>,
        budget: Budget,
        pending: mpsc::UnboundedSender<Pending<L::Ticket>>,
        dispatched: Arc<watch::Sender<u64>>,
        memory: Memory,
    ) -> Self {
        Logged { log, budget, pending, dispatched, memory: Mutex::new(memory), relief: Arc::default() }
    }
}

/// The threads and tasks of a sink. They end with it.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) dispatcher: Option<(JoinHandle<()>, Arc<AtomicBool>)>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    aborts: Vec<AbortHandle>,
}

impl Running {
    /// Starts a task; if it panics the sink stops with what it said.
    pub(crate) fn watch(
        &mut self,
        shared: &Arc<Shared>,
        what: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let (shared, task) = (shared.clone(), tokio::spawn(task));
        self.aborts.push(task.abort_handle());
        self.tasks.push(tokio::spawn(async move {
            if let Err(error) = task.await
                && let Ok(panic) = error.try_into_panic()
            {
                shared.fail(SinkError::Panicked { what, message: panic_text(&*panic) });
            }
        }));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((_, stop)) = &self.dispatcher {
            stop.store(true, Ordering::Release);
        }
        for task in &self.aborts {
            task.abort();
        }
    }
}

impl Sink {
    /// Begins to put a sink together.
    #[must_use]
    pub fn builder() -> SinkBuilder {
        SinkBuilder::new()
    }
}

impl<L: Log> Sink<L> {
    pub(crate) fn assemble(shared: Arc<Shared>, logged: Option<Logged<L>>, running: Running) -> Self {
        Sink { shared, logged, running }
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &Arc<dyn Target> {
        &self.shared.target
    }

    /// Claims a stream whose rows go through the log. A stream that the log knows already is returned as it is, with the new schema.
    ///
    /// # Errors
    /// [`SinkError::Invalid`] without a log, or when the log knows the stream with another table, mode or key; the refusals of a claim.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the stream known to the log; calling again goes on.
    pub async fn stream(&self, spec: StreamSpec) -> Result<Stream, SinkError> {
        self.shared.check_alive()?;
        let logged = self.logged()?;
        let mut memory = logged.memory.lock().await;
        self.pin_schema(logged, &memory, &spec).await?;
        if let Some(state) = self.shared.stream_named(&spec.id) {
            return self.known_stream(state, &spec);
        }
        let number = memory.streams.keys().last().map_or(1, |last| last + 1);
        let pin = StreamPin {
            id: spec.id.clone(),
            origin: logged.log.end().number(),
            lanes: spec.lanes.unwrap_or(1),
            destination: spec.destination.clone(),
        };
        // Claimed first: a stream that the target refuses must not be remembered.
        let state = memory.claim(&self.shared, &*logged.log, number, &pin).await?;
        logged.log.pin(&pins::stream_key(number), &pin.encode())?.await?;
        memory.streams.insert(number, pin);
        let state = Arc::new(state);
        self.shared.streams().insert(number, state.clone());
        Ok(self.handle(state, &spec))
    }

    async fn pin_schema(&self, logged: &Logged<L>, memory: &Memory, spec: &StreamSpec) -> Result<(), SinkError> {
        if memory.schemas.contains(spec.schema.id()) {
            return Ok(());
        }
        logged.log.pin(&pins::schema_key(spec.schema.id()), &spec.schema.encode())?.await?;
        memory.schemas.insert(spec.schema.clone());
        Ok(())
    }

    fn known_stream(&self, state: Arc<StreamState>, spec: &StreamSpec) -> Result<Stream, SinkError> {
        if let Some(cause) = state.failure() {
            return Err(SinkError::Stream { stream: state.id.clone(), cause: Arc::new(cause) });
        }
        let known = &state.lanes[0].destination;
        if **known != spec.destination {
            return Err(SinkError::Invalid(format!(
                "stream {} goes to {} ({}) since it was first opened, not to {} ({}); give the other a stream id of its own",
                spec.id,
                known.table,
                known.mode.name(),
                spec.destination.table,
                spec.destination.mode.name()
            )));
        }
        if let Some(asked) = spec.lanes.filter(|asked| *asked as usize != state.lanes.len()) {
            let ledger = state.lanes.len() as u32;
            return Err(standpipe_core::Error::Lanes { stream: spec.id.clone(), ledger, asked }.into());
        }
        Ok(self.handle(state, spec))
    }

    fn handle(&self, state: Arc<StreamState>, spec: &StreamSpec) -> Stream {
        Stream { state, schema: spec.schema.clone(), block_bytes: self.shared.settings.block_bytes() }
    }

    /// Claims a stream whose source can be read again by itself, for [`write_at`](Sink::write_at). `None` when the ledger says
    /// that the source is complete and `reopen` is false: nothing was written then.
    ///
    /// # Errors
    /// The refusals of a claim; [`SinkError::Stream`] when this sink had the stream and lost it: a fenced owner never claims again by itself.
    ///
    /// # Cancel safety
    /// Dropping the future may leave a claim behind; calling again goes on.
    pub async fn source(
        &self,
        spec: StreamSpec,
        source: SourceId,
        window: Window,
        reopen: bool,
    ) -> Result<Option<Stream>, SinkError> {
        self.shared.check_alive()?;
        if let Some(state) = self.shared.stream_named(&spec.id) {
            let cause = state.failure().unwrap_or_else(|| SinkError::Invalid("it is open already".into()));
            return Err(SinkError::Stream { stream: spec.id, cause: Arc::new(cause) });
        }
        let request = ClaimRequest {
            stream: spec.id.clone(),
            lanes: spec.lanes,
            source: source.clone(),
            origin: window.start,
            window,
            reopen,
            owner: self.shared.settings.owner.clone(),
        };
        let claims = self.shared.target.claim(&request).await?;
        for claim in &claims {
            trim_dead_letters(&self.shared, &claim.lane, claim.position).await?;
        }
        let mut streams = self.shared.streams();
        let number = streams.keys().last().map_or(1, |last| last + 1);
        let destination = Arc::new(spec.destination.clone());
        let Some(state) = StreamState::new(number, source, false, destination, claims) else { return Ok(None) };
        let state = Arc::new(state);
        streams.insert(number, state.clone());
        drop(streams);
        Ok(Some(self.handle(state, &spec)))
    }

    /// Takes rows into the log and returns once they are in its queue; the receipt tells when they are durable and
    /// when they are applied. Waits while there is no room, in memory or in the log; load alone never fails it.
    ///
    /// Rows of one call are cut into blocks; each block is durable, and applied, as a whole.
    ///
    /// # Errors
    /// [`SinkError::Timeout`] after `write_timeout`; [`SinkError::TooLarge`]; [`SinkError::Log`]; [`SinkError::Stream`].
    /// Blocks before the one that failed may have been taken.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready leaves the blocks that were already taken in the log; they will be applied.
    pub async fn write(&self, stream: &Stream, rows: Rows) -> Result<Receipt, SinkError> {
        let logged = self.logged()?;
        if !stream.state.logged {
            return Err(SinkError::Invalid(format!("stream {} is fed by `write_at`", stream.id())));
        }
        let mut told = Vec::with_capacity(rows.blocks.len());
        let mut ends: Vec<(Arc<LaneState>, u64)> = Vec::new();
        let mut header = Vec::new();
        for (lane, block) in &rows.blocks {
            let state = lane_state(stream, *lane)?;
            self.check_open(stream)?;
            if !Arc::ptr_eq(&block.schema, &stream.schema) && block.schema != stream.schema {
                return Err(SinkError::Invalid(format!("a block for stream {} has another schema", stream.id())));
            }
            envelope::encode(stream.state.number, *lane, &rows.source_position, block, &mut header);
            let since = Instant::now();
            let size_bytes = (header.len() + block.tuples.len()) as u64;
            let permit = self.admit(&logged.budget, size_bytes).await?;
            let ticket = self.append(logged, &[&header, &block.tuples]).await?;
            let end = ticket.lsn().number() + 1;
            let (sender, receiver) = oneshot::channel();
            let pending = Pending { ticket, rows: block.entries(), since, told: sender, permit };
            logged.pending.send(pending).map_err(|_| SinkError::Closed)?;
            told.push(receiver);
            match ends.iter_mut().find(|(lane, _)| Arc::ptr_eq(lane, &state)) {
                Some((_, known)) => *known = end,
                None => ends.push((state, end)),
            }
        }
        Ok(Receipt::logged(told, ends))
    }

    /// Puts rows of a source that can be read again straight into their lanes. `range` is what these rows are of the source:
    /// ranges of one stream follow each other. For a lane that is past the range already, the rows are dropped: they were applied.
    ///
    /// # Errors
    /// [`SinkError::Invalid`] for a range that a lane's position falls into: cut the rows there. Others as [`write`](Sink::write).
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready leaves some of the blocks taken: give up the stream, or go on from its positions in a
    /// new sink.
    pub async fn write_at(&self, stream: &Stream, range: Range<u64>, rows: Rows) -> Result<Receipt, SinkError> {
        if stream.state.logged || range.start > range.end {
            return Err(SinkError::Invalid(format!("stream {} takes no rows at {range:?}", stream.id())));
        }
        let source_position: Arc<str> = Arc::from(rows.source_position);
        let mut ends = Vec::new();
        for (lane, block) in rows.blocks {
            let state = lane_state(stream, lane)?;
            self.check_open(stream)?;
            if is_applied(&state, &range)? {
                continue;
            }
            let permit = self.admit(&self.shared.budget, block.size_bytes()).await?;
            let since = Instant::now();
            self.shared.enqueue(Item {
                lane: state.clone(),
                block,
                start: range.start,
                end: range.end,
                source_position: source_position.clone(),
                complete: false,
                since,
                _permit: permit,
            })?;
            ends.push((state, range.end));
        }
        Ok(Receipt::unlogged(ends))
    }

    /// Says that the source ends at `end`, and waits until all of it is applied and the ledger says that it is complete.
    ///
    /// # Errors
    /// As [`Receipt::applied`].
    ///
    /// # Cancel safety
    /// Dropping the future does not take the end back.
    pub async fn finish(&self, stream: &Stream, end: u64, source_position: &str) -> Result<(), SinkError> {
        if stream.state.logged {
            return Err(SinkError::Invalid(format!("stream {} is fed from a log, which has no end", stream.id())));
        }
        let source_position: Arc<str> = Arc::from(source_position);
        for state in &stream.state.lanes {
            self.check_open(stream)?;
            let block = standpipe_row::BlockBuilder::new(stream.schema.clone()).finish();
            let permit = self.admit(&self.shared.budget, block.size_bytes()).await?;
            self.shared.enqueue(Item {
                lane: state.clone(),
                block,
                start: end,
                end,
                source_position: source_position.clone(),
                complete: true,
                since: Instant::now(),
                _permit: permit,
            })?;
        }
        self.shared.lanes.flush_all();
        for state in &stream.state.lanes {
            state.wait_complete().await?;
        }
        Ok(())
    }

    /// Waits until everything written before the call is applied, whatever the batch settings.
    ///
    /// # Errors
    /// As [`Receipt::applied`], for any stream.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn flush(&self) -> Result<(), SinkError> {
        if let Some(logged) = &self.logged {
            let end = logged.log.end().number();
            self.wait_dispatched(logged, end).await?;
        }
        let ends: Vec<_> = self.shared.all_lanes().into_iter().map(|lane| (lane.queued_end(), lane)).collect();
        self.shared.lanes.flush_all();
        for (end, lane) in ends {
            lane.wait_applied(end).await?;
        }
        self.shared.check_alive()
    }

    /// [`flush`](Sink::flush), and lets the log go of all that is applied.
    ///
    /// # Errors
    /// As `flush`; [`SinkError::Log`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing but how much the log keeps.
    pub async fn checkpoint(&self) -> Result<(), SinkError> {
        self.flush().await?;
        if let Some(logged) = &self.logged {
            self.release(logged).await?;
        }
        Ok(())
    }

    /// Takes nothing more, applies what it can until `deadline` from now, and says what is left.
    ///
    /// # Errors
    /// The reason why the sink or one of its streams stopped, after everything else was applied. What is in the log stays there.
    ///
    /// # Cancel safety
    /// Dropping the future is like dropping the sink.
    pub async fn close(mut self, deadline: Duration) -> Result<Closed, SinkError> {
        let drained = tokio::time::timeout(deadline, self.checkpoint()).await;
        let failure = self.shared.failure().or(match drained {
            Ok(Err(error)) => Some(error),
            _ => None,
        });
        let closed = self.left();
        self.stop().await;
        failure.map_or(Ok(closed), Err)
    }

    fn left(&self) -> Closed {
        let left_in_log = self.logged.as_ref().map_or(0, |logged| {
            let lanes = self.shared.all_lanes();
            let end = logged.log.end().number();
            let dispatched = *logged.dispatched.borrow();
            let low = lanes.iter().filter(|l| l.is_outstanding()).map(|l| l.position()).fold(dispatched, u64::min);
            end.saturating_sub(low)
        });
        Closed { left_in_log, not_applied_rows: if self.logged.is_some() { 0 } else { self.shared.lanes.rows() } }
    }

    async fn stop(&mut self) {
        self.shared.budget.close();
        self.shared.lanes.close();
        for task in &self.running.aborts {
            task.abort();
        }
        for task in self.running.tasks.drain(..) {
            let _ = task.await;
        }
        let dispatcher = self.running.dispatcher.take();
        if let Some((_, stop)) = &dispatcher {
            stop.store(true, Ordering::Release);
        }
        let log = self.logged.as_ref().map(|logged| logged.log.clone());
        let ended = tokio::task::spawn_blocking(move || {
            if let Some((thread, _)) = dispatcher {
                let _ = thread.join();
            }
            log.map_or(Ok(()), |log| log.close())
        });
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "closing the log");
        }
    }

    fn logged(&self) -> Result<&Logged<L>, SinkError> {
        self.logged.as_ref().ok_or_else(|| {
            SinkError::Invalid("this sink has no log: give the builder one, or use `source` and `write_at`".into())
        })
    }

    fn check_open(&self, stream: &Stream) -> Result<(), SinkError> {
        self.shared.check_alive()?;
        match stream.state.failure() {
            Some(cause) => Err(SinkError::Stream { stream: stream.id().clone(), cause: Arc::new(cause) }),
            None => Ok(()),
        }
    }

    /// Memory for a block, in the order of asking.
    async fn admit(&self, budget: &Budget, size_bytes: u64) -> Result<Permit, SinkError> {
        if size_bytes > budget.limit() {
            return Err(SinkError::TooLarge { size_bytes, limit_bytes: budget.limit() });
        }
        if let Some(permit) = budget.try_acquire(size_bytes) {
            return Ok(permit);
        }
        let _pressure = self.shared.lanes.pressure();
        let acquired = match self.shared.settings.write_timeout {
            Some(limit) => tokio::time::timeout(limit, budget.acquire(size_bytes))
                .await
                .map_err(|_| SinkError::Timeout(limit))?,
            None => budget.acquire(size_bytes).await,
        };
        acquired.map_err(|_| self.shared.failure().unwrap_or(SinkError::Closed))
    }

    /// Appends a record, waiting for the log to let go of something where it is full.
    async fn append(&self, logged: &Logged<L>, parts: &[&[u8]]) -> Result<L::Ticket, SinkError> {
        let began = Instant::now();
        loop {
            // Listening before asking: a commit between the two is not missed.
            let mut committed = std::pin::pin!(self.shared.committed.notified());
            committed.as_mut().enable();
            let full = match logged.log.append(Record::new(parts)) {
                Err(full @ LogError::Full { .. }) => full,
                other => return Ok(other?),
            };
            let before = logged.log.size_bytes();
            self.release(logged).await?;
            if logged.log.size_bytes() < before {
                continue;
            }
            let idle = *logged.dispatched.borrow() >= logged.log.end().number()
                && !self.shared.all_lanes().iter().any(|lane| lane.is_outstanding());
            self.shared.check_alive()?;
            if idle {
                // Nothing of ours is left to be let go of: the disk is full, or the limit smaller than two segments.
                return Err(full.into());
            }
            let _pressure = self.shared.lanes.pressure();
            match self.shared.settings.write_timeout {
                Some(limit) if began.elapsed() >= limit => return Err(SinkError::Timeout(limit)),
                Some(limit) => drop(tokio::time::timeout(limit - began.elapsed(), committed).await),
                None => committed.await,
            }
        }
    }

    async fn release(&self, logged: &Logged<L>) -> Result<(), SinkError> {
        let turn = logged.relief.clone().lock_owned().await;
        let (shared, log, dispatched) = (self.shared.clone(), logged.log.clone(), *logged.dispatched.borrow());
        let released = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            retention::release_applied(&shared, &*log, dispatched)
        });
        released.await.map_err(|error| SinkError::Panicked { what: "truncation", message: error.to_string() })??;
        Ok(())
    }

    async fn wait_dispatched(&self, logged: &Logged<L>, end: u64) -> Result<(), SinkError> {
        let mut dispatched = logged.dispatched.subscribe();
        loop {
            let mut failed = std::pin::pin!(self.shared.committed.notified());
            failed.as_mut().enable();
            self.shared.check_alive()?;
            if *dispatched.borrow_and_update() >= end {
                return Ok(());
            }
            tokio::select! {
                changed = dispatched.changed() => changed.map_err(|_| SinkError::Closed)?,
                () = failed => {}
            }
        }
    }

    /// The log's identity as the ledger knows it, where there is a log.
    ///
    /// # Errors
    /// Never for a log that keeps its contract.
    pub fn log_source(&self) -> Result<Option<SourceId>, SinkError> {
        self.logged.as_ref().map(|logged| source_of(&*logged.log)).transpose()
    }
}

fn lane_state(stream: &Stream, lane: u32) -> Result<Arc<LaneState>, SinkError> {
    stream.state.lanes.get(lane as usize).cloned().ok_or_else(|| {
        SinkError::Invalid(format!("stream {} has {} lanes, no lane {lane}", stream.id(), stream.lanes()))
    })
}

/// Whether the lane has these rows already.
fn is_applied(lane: &LaneState, range: &Range<u64>) -> Result<bool, SinkError> {
    let queued = lane.queued_end();
    if range.end <= queued && range.start < queued {
        return Ok(true);
    }
    if range.start < queued {
        return Err(SinkError::Invalid(format!("{} is at {queued}, inside of {range:?}: cut the rows there", lane.id)));
    }
    Ok(false)
}

impl<L: Log> fmt::Debug for Sink<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
