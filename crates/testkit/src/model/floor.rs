//! How the log lets go of what is applied: what it vouches for about lanes that stand still, and what it removes.
//!
//! As the sink does: the floors are durable before anything is removed, and a process may die in between.

use super::state::{Log, Owner, Phase, State};
use super::step::Protocol;
use super::{Mistake, SourceKind};

/// The log has no record of a lane from `position` to `end`: whoever stands between them misses nothing below `end`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Floor {
    pub(super) position: u8,
    pub(super) end: u8,
}

impl Protocol {
    /// Pins where the lanes stand that nothing else vouches for up to the number below which the log is to be removed.
    pub(super) fn pin_floors(&self, from: &State) -> Option<State> {
        let (low, unvouched) = self.release(from)?;
        if unvouched == 0 {
            return None;
        }
        let mut to = *from;
        let owner = &from.owners[0];
        for lane in self.lanes().filter(|lane| unvouched & (1 << lane) != 0) {
            to.log.floors[lane] = Some(Floor { position: owner.position[lane], end: owner.taken });
        }
        to.owners[0].releasing = low;
        Some(to)
    }

    /// Removes what the floors were pinned for, or what needs none.
    pub(super) fn truncate(&self, from: &State) -> Option<State> {
        let owner = &from.owners[0];
        let low = match owner.releasing {
            0 => self.release(from).filter(|(_, unvouched)| *unvouched == 0)?.0,
            _ if owner.phase != Phase::Running => return None,
            pinned_for => pinned_for,
        };
        let mut to = *from;
        to.owners[0].releasing = 0;
        to.log.start = low;
        Some(to)
    }

    /// The lowest position at which a claim takes a lane.
    pub(super) fn floor(&self, log: &Log, lane: usize) -> u8 {
        let trusted = |floor: &Floor| floor.end >= log.start || self.has(Mistake::StaleFloor);
        let floor = log.floors[lane].filter(trusted).filter(|_| !self.has(Mistake::IdleLaneTakenForGap));
        floor.map_or(log.start, |floor| floor.position.min(log.start))
    }

    /// The number below which the log can be removed, and the lanes that need a floor for that, a bit each. `None` when
    /// there is nothing to remove, or that goes on already.
    fn release(&self, state: &State) -> Option<(u8, u8)> {
        let (log, owner) = (&state.log, &state.owners[0]);
        if self.bounds.source != SourceKind::Log || owner.phase != Phase::Running || owner.releasing > 0 {
            return None;
        }
        let outstanding = self
            .lanes()
            .filter(|lane| self.is_outstanding(log, owner, *lane))
            .map(|lane| owner.position[lane]);
        let low = outstanding.fold(owner.taken, u8::min);
        if low <= log.start {
            return None;
        }
        let vouched = |lane: usize| {
            let position = owner.position[lane];
            log.floors[lane].filter(|floor| floor.position == position).map_or(position, |floor| floor.end)
        };
        let unvouched = self.lanes().filter(|lane| vouched(*lane) < low);
        Some((low, unvouched.fold(0, |lanes, lane| lanes | 1 << lane)))
    }

    /// Whether the dispatcher took something of the lane that is not known to be applied.
    fn is_outstanding(&self, log: &Log, owner: &Owner, lane: usize) -> bool {
        let mut taken = log.between(log.start, owner.taken);
        !self.has(Mistake::TruncatedBeforeApplied)
            && taken.any(|(lsn, row)| self.lane(row) == lane && lsn >= owner.position[lane])
    }
}
