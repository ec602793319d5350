use std::sync::{Arc, Weak, atomic::Ordering};

use standpipe_log::{Log, LogError, Lsn, Ticket};
use tokio::sync::{Mutex, watch};

use crate::{
    SinkError,
    pins::{self, Floor},
    shared::Shared,
};

/// How much the log may grow before somebody looks whether it can let go of something.
const LOOK_EVERY_BYTES: u64 = 4 << 20;

/// The number below which the log was last told to let go. Held while that goes on: relief runs once, not once a waiter.
pub(crate) type Relief = Arc<Mutex<u64>>;

/// What a truncation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// Everything that every lane has applied.
    AllThatCan,
    /// The log is too full to note where its idle lanes stand. The dispatcher was asked to move them in the ledger instead.
    IdleLanesHold,
}

/// Lets the log go of what every lane has applied.
///
/// # Cancel safety
/// Dropping the future leaves the work to go on by itself.
pub(crate) async fn release<L: Log>(
    shared: &Arc<Shared>,
    log: &Arc<L>,
    dispatched: &Arc<watch::Sender<u64>>,
    relief: &Relief,
) -> Result<Released, SinkError> {
    let mut last = relief.clone().lock_owned().await;
    let (shared, log, dispatched) = (shared.clone(), log.clone(), dispatched.clone());
    let released =
        tokio::task::spawn_blocking(move || release_applied(&shared, &*log, &dispatched, &mut last));
    released.await.map_err(|error| SinkError::Panicked { what: "truncation", message: error.to_string() })?
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
        if let Err(error) = release(&shared, &log, &dispatched, &relief).await {
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
    last: &mut u64,
) -> Result<Released, SinkError> {
    // Read before the lanes are: what is dispatched later only makes a lane outstanding earlier.
    let dispatched = *dispatched.borrow();
    let lanes = shared.logged_lanes();
    let outstanding = lanes.iter().filter(|lane| lane.is_outstanding()).map(|lane| lane.position());
    let mut low = outstanding.fold(dispatched, u64::min);
    if low <= *last || low <= log.start().number() {
        return Ok(Released::AllThatCan);
    }
    let (mut pinned, mut ticket, mut released) = (Vec::new(), None, Released::AllThatCan);
    for lane in &lanes {
        // A lane that stands below `low` has nothing up to `dispatched`: else it would be outstanding.
        let floor = Floor { position: lane.position(), end: dispatched };
        let vouched = lane
            .floor()
            .filter(|known| known.position == floor.position)
            .map_or(floor.position, |known| known.end);
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
    if let Some(ticket) = ticket {
        ticket.wait()?;
    }
    for (lane, floor) in pinned {
        lane.set_floor(floor);
    }
    if released == Released::IdleLanesHold {
        shared.lift_idle.store(true, Ordering::Release);
    }
    if low > log.start().number() {
        log.truncate_before(Lsn::new(low))?;
    }
    *last = low;
    Ok(released)
}
