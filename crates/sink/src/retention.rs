use std::{
    collections::VecDeque,
    sync::{Arc, Weak, atomic::Ordering},
};

use standpipe_log::{Log, LogError, Lsn, Ticket};
use tokio::sync::{Mutex, watch};

use crate::{
    SinkError,
    pins::{self, Floor},
    shared::Shared,
};

/// How much the log may grow before somebody looks whether it can let go of something.
const LOOK_EVERY_BYTES: u64 = 4 << 20;

/// What was let go of so far. Held while that goes on: relief runs once, not once a waiter.
pub(crate) type Relief = Arc<Mutex<Retained>>;

/// What is known about where the log's bytes are.
#[derive(Default)]
pub(crate) struct Retained {
    /// The number below which the log was last told to let go.
    last: u64,
    /// Bytes that were let go of.
    removed_bytes: u64,
    /// Numbers of the log, and how many bytes had been written when each was reached, in order.
    marks: VecDeque<(u64, u64)>,
}

impl Retained {
    /// Marks `reached`, and returns the number from which on at least `retain_bytes` are in the log; `None` where that is
    /// not known. What was there before this life began is marked as one.
    fn from(&mut self, reached: u64, size_bytes: u64, retain_bytes: u64) -> Option<u64> {
        let written = self.removed_bytes + size_bytes;
        if self.marks.back().is_none_or(|(number, _)| *number < reached) {
            self.marks.push_back((reached, written));
        }
        let is_behind = |mark: &(u64, u64)| written.saturating_sub(mark.1) >= retain_bytes;
        while self.marks.get(1).is_some_and(is_behind) {
            self.marks.pop_front();
        }
        self.marks.front().filter(|mark| is_behind(mark)).map(|mark| mark.0)
    }
}

/// What a truncation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// Everything that every lane has applied.
    AllThatCan,
    /// The log is too full to note where its idle lanes stand. The dispatcher was asked to move them in the ledger instead.
    IdleLanesHold,
}

/// Lets the log go of what every lane has applied, but for what is to be retained; a log that is `full` retains nothing.
///
/// # Cancel safety
/// Dropping the future leaves the work to go on by itself.
pub(crate) async fn release<L: Log>(
    shared: &Arc<Shared>,
    log: &Arc<L>,
    dispatched: &Arc<watch::Sender<u64>>,
    relief: &Relief,
    full: bool,
) -> Result<Released, SinkError> {
    let mut retained = relief.clone().lock_owned().await;
    let (shared, log, dispatched) = (shared.clone(), log.clone(), dispatched.clone());
    let released = tokio::task::spawn_blocking(move || {
        release_applied(&shared, &*log, &dispatched, &mut retained, full)
    });
    released.await.map_err(|error| SinkError::Panicked { what: "truncation", message: error.to_string() })?
}

/// Lets a log that was just opened go of what its lanes have applied. Returns the number from which on they may need it.
///
/// A disk may be full of it, and who writes next would be refused before anybody looks.
pub(crate) fn release_at_open<L: Log>(shared: &Shared, log: &L) -> Lsn {
    let lowest = shared.logged_lanes().iter().map(|lane| lane.vouched()).min();
    let low = Lsn::new(lowest.unwrap_or(log.end().number()));
    if lowest.is_some()
        && shared.settings.log_retain_bytes == 0
        && low > log.start()
        && let Err(error) = log.truncate_before(low)
    {
        tracing::warn!(%error, "the log keeps what is applied already");
    }
    low.max(log.start())
}

/// Keeps a log that nobody finds full from holding what was applied long ago. Ends with the log.
pub(crate) async fn run<L: Log>(
    log: Weak<L>,
    shared: Arc<Shared>,
    dispatched: Arc<watch::Sender<u64>>,
    relief: Relief,
) {
    let Some(mut look_at_bytes) = log.upgrade().map(|log| log.size_bytes() + LOOK_EVERY_BYTES) else {
        return;
    };
    loop {
        shared.committed.notified().await;
        let Some(log) = log.upgrade() else { return };
        if log.size_bytes() < look_at_bytes {
            continue;
        }
        if let Err(error) = release(&shared, &log, &dispatched, &relief, false).await {
            tracing::warn!(%error, "the log keeps what is applied already");
        }
        look_at_bytes = log.size_bytes() + LOOK_EVERY_BYTES;
    }
}

/// Blocks: it waits for the floors to be durable before anything is removed, so that an idle lane is not taken for a
/// gap by the next life.
fn release_applied<L: Log>(
    shared: &Shared,
    log: &L,
    dispatched: &watch::Sender<u64>,
    retained: &mut Retained,
    full: bool,
) -> Result<Released, SinkError> {
    // Read before the lanes are: what is dispatched later only makes a lane outstanding earlier.
    let dispatched = *dispatched.borrow();
    let lanes = shared.logged_lanes();
    let outstanding = lanes.iter().filter(|lane| lane.is_outstanding()).map(|lane| lane.position());
    let mut low = outstanding.fold(dispatched, u64::min);
    let retain_bytes = shared.settings.log_retain_bytes;
    let retain_from = retained.from(dispatched, log.size_bytes(), retain_bytes);
    if retain_bytes > 0 && !full {
        low = low.min(retain_from.unwrap_or(0));
    }
    if low <= retained.last || low <= log.start().number() {
        return Ok(Released::AllThatCan);
    }
    let (mut pinned, mut ticket, mut released) = (Vec::new(), None, Released::AllThatCan);
    for lane in &lanes {
        // A lane that stands below `low` has nothing up to `dispatched`: else it would be outstanding.
        let floor = Floor { position: lane.position(), end: dispatched };
        let vouched = lane.vouched();
        if vouched >= low {
            continue;
        }
        match log.pin(&pins::floor_key(lane.stream_number, lane.id.lane), &floor.encode()) {
            Ok(made) => {
                ticket = Some(made);
                pinned.push((lane, floor));
            }
            // No room even for that.
            Err(LogError::Full { .. }) => {
                low = low.min(vouched);
                released = Released::IdleLanesHold;
            }
            Err(error) => return Err(error.into()),
        }
    }
    match ticket.map_or(Ok(None), |ticket| ticket.wait().map(Some)) {
        Ok(_) => pinned.into_iter().for_each(|(lane, floor)| lane.set_floor(floor)),
        // The log took it, and then the disk had no room for it.
        Err(LogError::Full { .. }) => {
            low = pinned.iter().map(|(lane, _)| lane.vouched()).fold(low, u64::min);
            released = Released::IdleLanesHold;
        }
        Err(error) => return Err(error.into()),
    }
    if released == Released::IdleLanesHold {
        shared.lift_idle.store(true, Ordering::Release);
    }
    if low > log.start().number() {
        let before = log.size_bytes();
        log.truncate_before(Lsn::new(low))?;
        retained.removed_bytes += before.saturating_sub(log.size_bytes());
    }
    retained.last = low;
    Ok(released)
}
