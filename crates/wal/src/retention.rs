use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use standpipe_log::Lsn;

use crate::lock::lock;

/// Keeps the log from being truncated above a place, until it is dropped: for a reader that is behind, a checkpoint, a
/// backup.
///
/// A hold is the process's, not the log's: it is gone when the process is. Dropping it does not truncate by itself; the
/// next [`truncate_before`](standpipe_log::Log::truncate_before) does.
#[must_use = "a hold that is dropped holds nothing"]
pub struct Hold {
    holds: Holds,
    key: u64,
}

impl Hold {
    /// Moves the hold: everything below may go from now on. Moving it back holds only what is still there.
    pub fn move_to(&self, lsn: Lsn) {
        if let Some(held) = lock(&self.holds.held).at.get_mut(&self.key) {
            (held.lsn, held.moved_at) = (lsn, Instant::now());
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.holds.held).at.remove(&self.key);
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What keeps records in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HoldReport {
    /// As it was given.
    pub name: String,
    /// Nothing at or above this number is removed.
    pub lsn: Lsn,
    /// Since it was made or moved: one that is idle for long is one that somebody forgot.
    pub idle: Duration,
}

/// All holds of a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds {
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    at: BTreeMap<u64, Place>,
    next: u64,
}

#[derive(Debug)]
struct Place {
    name: String,
    lsn: Lsn,
    moved_at: Instant,
}

impl Holds {
    pub(crate) fn hold(&self, name: String, lsn: Lsn) -> Hold {
        let mut held = lock(&self.held);
        let key = held.next;
        held.next += 1;
        held.at.insert(key, Place { name, lsn, moved_at: Instant::now() });
        Hold { holds: self.clone(), key }
    }

    /// The lowest place that is held, if it is below `lsn`; else `lsn`.
    pub(crate) fn lowest(&self, lsn: Lsn) -> Lsn {
        lock(&self.held).at.values().map(|place| place.lsn).fold(lsn, Lsn::min)
    }

    /// The lowest first.
    pub(crate) fn report(&self) -> Vec<HoldReport> {
        let held = lock(&self.held);
        let report = |place: &Place| HoldReport {
            name: place.name.clone(),
            lsn: place.lsn,
            idle: place.moved_at.elapsed(),
        };
        let mut reports: Vec<_> = held.at.values().map(report).collect();
        reports.sort_by_key(|report| report.lsn);
        reports
    }
}
