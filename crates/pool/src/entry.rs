use std::{ops::Deref, sync::Arc};

use standpipe_core::Connect;

use crate::{desk::Given, errands::Kind, queue::Seat, rack::Dates, settings::Settings, shared::Shared};

/// A connection, its dates in nanoseconds since the pool was made, and its place. It moves as one box between the rack, a
/// ticket of the queue, and a lease. However it ends, the connection is closed first and then its place is free.
#[repr(align(64))]
pub(crate) struct Entry<C: Connect> {
    pub(crate) connection: C::Connection,
    pub(crate) born: u64,
    pub(crate) dies: u64,
    /// When it last came back from a lease. A check that was not finished does not move it, so the next acquirer checks
    /// again.
    pub(crate) since: u64,
    /// Nobody had it yet.
    pub(crate) is_fresh: bool,
    /// The seat in which its holder waited for it: it goes back to the queue with the connection.
    pub(crate) spare: Option<Arc<Seat<Given<C>>>>,
    /// Last, so that the connection is closed before its place is free: never are more open than the limit.
    pub(crate) place: Place<C>,
}

/// A place in the pool, counted until it is dropped.
///
/// It reaches the pool through a count of its own: whoever puts an entry back has to keep the pool alive over the instant in
/// which it is no longer his, and the pool's own count is a line of memory on which all would meet.
pub(crate) struct Place<C: Connect> {
    pub(crate) home: Arc<Home<C>>,
    pub(crate) index: usize,
    /// It is counted at the desk as one that is reset, or takes leave of the other side.
    pub(crate) counted: Option<Kind>,
}

/// The pool, by a count on a line of memory of its own.
#[repr(align(64))]
pub(crate) struct Home<C: Connect>(pub(crate) Arc<Shared<C>>);

impl<C: Connect> Deref for Home<C> {
    type Target = Arc<Shared<C>>;

    #[inline]
    fn deref(&self) -> &Arc<Shared<C>> {
        &self.0
    }
}

impl<C: Connect> Entry<C> {
    pub(crate) fn dates(&self) -> Dates {
        Dates { born: self.born, since: self.since, dies: self.dies }
    }

    pub(crate) fn is_past_life(&self, now: u64) -> bool {
        now >= self.dies && !crate::planted::is(crate::planted::Plant::LifeIgnored)
    }

    pub(crate) fn is_expired(&self, settings: &Settings, now: u64) -> bool {
        !self.is_fresh
            && (self.is_past_life(now) || idle_nanos(self.since, now) >= settings.idle_max.as_nanos())
    }

    pub(crate) fn is_check_due(&self, settings: &Settings, now: u64) -> bool {
        !self.is_fresh && idle_nanos(self.since, now) >= settings.check_after_idle.as_nanos()
    }
}

/// The fast clock may lag behind the exact one.
fn idle_nanos(since: u64, now: u64) -> u128 {
    u128::from(now.saturating_sub(since))
}

impl<C: Connect> Drop for Place<C> {
    fn drop(&mut self) {
        self.home.vacate(self.index, self.counted);
    }
}
