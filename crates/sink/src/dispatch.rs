use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use standpipe_buffer::Permit;
use standpipe_core::ErrorKind;
use standpipe_log::{Log, LogError, Reader};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    SinkError, clock, envelope, item::Item, panicked::panic_text, recover::Schemas, shared::Shared,
    stream::LaneState,
};

/// How long the dispatcher waits for a record before it looks whether it should stop. It wakes for records at once.
const PATIENCE: Duration = Duration::from_millis(20);

/// What an item without rows is counted as.
const LIFT_BYTES: u64 = 64;

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
    /// Whose clock tells the age of rows.
    pub(crate) runtime: Handle,
}

impl<L: Log> Dispatcher<L> {
    pub(crate) fn run(mut self) {
        let (shared, runtime) = (self.shared.clone(), self.runtime.clone());
        let _context = runtime.enter();
        match catch_unwind(AssertUnwindSafe(|| self.follow())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => shared.fail(error),
            Err(panic) => {
                shared.fail(SinkError::Panicked { what: "the dispatcher", message: panic_text(&*panic) })
            }
        }
    }

    fn follow(&mut self) -> Result<(), SinkError> {
        while !self.stop.load(Ordering::Acquire) {
            if self.shared.lift_idle.swap(false, Ordering::AcqRel) {
                self.lift_idle_lanes();
            }
            let idle_end = self.log.durable_end();
            let (lsn, record) = match self.reader.next(PATIENCE) {
                Ok(Some(entry)) => (entry.lsn.number(), Bytes::copy_from_slice(entry.payload)),
                Ok(None) => {
                    // Numbers that the log skipped are dispatched too.
                    self.dispatched.send_if_modified(|end| raise(end, idle_end.number()));
                    continue;
                }
                Err(LogError::Closed) if self.stop.load(Ordering::Acquire) => return Ok(()),
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
        let lane: Option<Arc<LaneState>> = self
            .shared
            .stream(address.stream)
            .and_then(|stream| stream.lanes.get(address.lane as usize).cloned());
        let Some(lane) = lane else {
            let (stream, lane) = (address.stream, address.lane);
            let what =
                format!("record {lsn} belongs to stream {stream} lane {lane}, which the log does not name");
            return Err(standpipe_core::Error::new(ErrorKind::Corrupt, what).into());
        };
        let progress = *lane.progress.borrow();
        if lsn < progress.position {
            // Applied in a former life.
            return Ok(true);
        }
        if progress.failed {
            // Whoever waits for it must learn that this life does not apply it; the log keeps it for the next one.
            lane.queued(lsn + 1, 1, 0);
            return Ok(true);
        }
        let schemas = &self.schemas;
        let (source_position, block) = envelope::decode(record, |id| schemas.find(&*self.log, id))?;
        let Some(permit) = self.wait_for_memory(block.size_bytes()) else { return Ok(false) };
        let queued = self.shared.enqueue(
            Item {
                lane,
                blocks: vec![block],
                start: lsn,
                end: lsn + 1,
                source_position,
                complete: false,
                since: clock::now(),
                memory: permit.bytes(),
            },
            permit,
        );
        // Refused only by a sink that is being stopped, for a reason that is known elsewhere.
        Ok(queued.is_ok())
    }

    /// Moves lanes that have nothing to apply to where the dispatcher is, in the ledger, so that the log need not keep what
    /// lies between. Only the dispatcher can: nobody else puts anything into a lane meanwhile.
    fn lift_idle_lanes(&self) {
        let here = *self.dispatched.borrow();
        for lane in self.shared.logged_lanes() {
            if lane.is_outstanding() || lane.position() >= here {
                continue;
            }
            // Whoever asked asks again as long as it matters.
            let Some(permit) = self.shared.budget().try_acquire(LIFT_BYTES) else { return };
            let source_position = Arc::from(lane.claim().source_position.as_str());
            let lifted = self.shared.enqueue(
                Item {
                    lane: lane.clone(),
                    blocks: Vec::new(),
                    start: here,
                    end: here,
                    source_position,
                    complete: false,
                    since: clock::now(),
                    memory: permit.bytes(),
                },
                permit,
            );
            if lifted.is_err() {
                return;
            }
            self.shared.buffer.flush(&lane.id);
        }
    }

    /// `None` when the sink stops.
    fn wait_for_memory(&self, bytes: u64) -> Option<Permit> {
        let budget = self.shared.budget();
        // A record larger than the whole share passes alone: it holds all of it.
        budget.acquire_blocking(bytes.min(budget.limit())).ok()
    }
}

fn raise(end: &mut u64, to: u64) -> bool {
    let raised = to > *end;
    *end = to.max(*end);
    raised
}
