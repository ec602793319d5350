use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use standpipe_log::{Log, LogError, Reader};
use tokio::sync::watch;

use crate::{
    SinkError, envelope,
    item::Item,
    recover::Schemas,
    shared::Shared,
    stream::LaneState,
};

/// How long the dispatcher waits for a record before it looks whether it should stop. It wakes for records at once.
const PATIENCE: Duration = Duration::from_millis(20);

/// Follows the log's durable end and puts its blocks into their lanes, in the log's order. Live rows and rows of a former
/// life take this one way, so nothing reaches the target before it is durable, and a lane's order is the log's.
///
/// A thread of its own: it reads files, and it waits for memory.
pub(crate) struct Dispatcher<L: Log> {
    pub(crate) log: Arc<L>,
    pub(crate) reader: L::Reader,
    pub(crate) shared: Arc<Shared>,
    pub(crate) schemas: Schemas,
    /// Everything below this number is in its lane.
    pub(crate) dispatched: Arc<watch::Sender<u64>>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl<L: Log> Dispatcher<L> {
    pub(crate) fn run(mut self) {
        let shared = self.shared.clone();
        match catch_unwind(AssertUnwindSafe(|| self.follow())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => shared.fail(error),
            Err(panic) => shared.fail(SinkError::Panicked { what: "the dispatcher", message: panic_text(&*panic) }),
        }
    }

    fn follow(&mut self) -> Result<(), SinkError> {
        while !self.stop.load(Ordering::Acquire) {
            let idle_end = self.log.durable_end();
            let (lsn, record) = match self.reader.next(PATIENCE) {
                Ok(Some(entry)) => (entry.lsn.number(), Bytes::copy_from_slice(entry.payload)),
                Ok(None) => {
                    // Numbers that the log skipped are dispatched too.
                    self.dispatched.send_if_modified(|end| raise(end, idle_end.number()));
                    continue;
                }
                Err(LogError::Closed) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if !self.dispatch(lsn, &record)? {
                return Ok(());
            }
            self.dispatched.send_if_modified(|end| raise(end, lsn + 1));
        }
        Ok(())
    }

    /// Puts one record into its lane; `false` when the sink stops.
    fn dispatch(&self, lsn: u64, record: &Bytes) -> Result<bool, SinkError> {
        let address = envelope::address(record)?;
        let lane: Option<Arc<LaneState>> =
            self.shared.stream(address.stream).and_then(|stream| stream.lanes.get(address.lane as usize).cloned());
        let Some(lane) = lane else {
            return Err(SinkError::Invalid(format!(
                "record {lsn} belongs to stream {} lane {}, which the log does not name",
                address.stream, address.lane
            )));
        };
        let progress = *lane.progress.borrow();
        // Applied in a former life, or behind a stream that stopped: the log keeps it for the next life.
        if progress.failed || lsn < progress.position {
            return Ok(true);
        }
        let schemas = &self.schemas;
        let (source_position, block) = envelope::decode(record, |id| schemas.find(&*self.log, id))?;
        let Some(permit) = self.wait_for_memory(block.size_bytes())? else { return Ok(false) };
        self.shared.enqueue(Item {
            lane,
            block,
            start: lsn,
            end: lsn + 1,
            source_position,
            complete: false,
            since: Instant::now(),
            _permit: permit,
        })?;
        Ok(true)
    }

    fn wait_for_memory(&self, bytes: u64) -> Result<Option<standpipe_buffer::Permit>, SinkError> {
        // A record larger than the whole share passes alone: it holds all of it.
        let bytes = bytes.min(self.shared.budget.limit());
        if let Some(permit) = self.shared.budget.try_acquire(bytes) {
            return Ok(Some(permit));
        }
        let _pressure = self.shared.lanes.pressure();
        match self.shared.budget.acquire_blocking(bytes) {
            Ok(permit) => Ok(Some(permit)),
            Err(_) => Ok(None),
        }
    }
}

fn raise(end: &mut u64, to: u64) -> bool {
    let raised = to > *end;
    *end = to.max(*end);
    raised
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
