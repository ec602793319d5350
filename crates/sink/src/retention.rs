use standpipe_log::{Log, Lsn, Ticket};

use crate::{SinkError, pins, shared::Shared};

/// Lets the log go of what every lane has applied, and returns the number below which that is everything.
///
/// Blocks: it waits for the floors to be durable before anything is removed, so that an idle lane is not taken for a
/// gap by the next life.
pub(crate) fn release_applied<L: Log>(shared: &Shared, log: &L, dispatched: u64) -> Result<u64, SinkError> {
    // `dispatched` was read before the lanes are: what was dispatched later only makes a lane outstanding earlier.
    let lanes: Vec<_> = shared.streams().values().filter(|s| s.logged).flat_map(|s| s.lanes.clone()).collect();
    let low = lanes
        .iter()
        .filter(|lane| lane.is_outstanding())
        .map(|lane| lane.position())
        .fold(dispatched, u64::min)
        .max(log.start().number());
    if low <= log.start().number() {
        return Ok(low);
    }
    let mut last = None;
    for lane in &lanes {
        let position = lane.position();
        if position < low {
            last = Some(log.pin(&pins::floor_key(lane.stream_number, lane.id.lane), &position.to_be_bytes())?);
        }
    }
    if let Some(ticket) = last {
        ticket.wait()?;
    }
    log.truncate_before(Lsn::new(low))?;
    Ok(low)
}
