#![expect(clippy::expect_used, reason = "a stated invariant: a lease holds its connection until it ends")]

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    thread,
};

use standpipe_core::{Connect, Lease};

use crate::{
    entry::Entry,
    errands::{Kind, Steps},
    planted::{self, Plant},
    shared::Shared,
    timer::within,
    watch::Taker,
};

/// A borrowed connection, and the place in the pool that goes with it.
///
/// Dropped, the connection goes to the oldest waiter, or waits idle. It is closed instead when it
/// [is broken](Connect::is_broken), is past its life, the pool is closed or has become smaller, or the drop is part of a
/// panic. When it [is not clean](Connect::is_clean), it is reset before anybody gets it.
///
/// Dropping never waits. Where [`Pool::run`](crate::Pool::run) is not running, a connection is closed by its own drop, and
/// the first poll of a reset is made here.
pub struct PoolLease<C: Connect> {
    entry: Option<Box<Entry<C>>>,
}

impl<C: Connect> PoolLease<C> {
    #[inline]
    pub(crate) fn new(mut entry: Box<Entry<C>>, taker: Taker) -> Self {
        entry.is_fresh = false;
        let home = &entry.place.home;
        home.watch.taken(entry.place.index, taker, || home.exact());
        PoolLease { entry: Some(entry) }
    }

    /// Closes the connection; its place goes to the oldest waiter, who gets a new one.
    pub fn discard(mut self) {
        if let Some(entry) = self.end() {
            Arc::clone(&entry.place.home.0).retire(entry);
        }
    }

    /// Takes the connection out of the pool, which forgets it: its place is free, and it no longer counts towards
    /// `connections_max`.
    #[must_use]
    pub fn detach(mut self) -> C::Connection {
        let Entry { connection, .. } = *self.end().expect(HOLDS);
        connection
    }

    fn end(&mut self) -> Option<Box<Entry<C>>> {
        let entry = self.entry.take()?;
        entry.place.home.watch.ended(entry.place.index);
        Some(entry)
    }

    fn held(&self) -> &Entry<C> {
        self.entry.as_ref().expect(HOLDS)
    }
}

const HOLDS: &str = "invariant: a lease holds its connection until it ends";

impl<C: Connect> Drop for PoolLease<C> {
    #[inline]
    fn drop(&mut self) {
        let Some(mut entry) = self.end() else { return };
        let shared: &Shared<C> = &entry.place.home;
        // What its user was at when he panicked is not known.
        if thread::panicking() {
            return;
        }
        // A panic in these closes the connection, and frees its place.
        let is_broken = shared.connect.is_broken(&mut entry.connection);
        let is_clean =
            is_broken || shared.connect.is_clean(&mut entry.connection) || planted::is(Plant::ResetSkipped);
        let now = if shared.is_dated { shared.now() } else { 0 };
        if is_broken || entry.is_past_life(now) {
            return Arc::clone(&entry.place.home.0).retire(entry);
        }
        entry.since = now;
        if is_clean {
            Shared::give_back(entry);
        } else {
            reset(entry);
        }
    }
}

/// Makes it a job to reset the connection, which is idle only after that.
fn reset<C: Connect>(mut entry: Box<Entry<C>>) {
    let shared = Arc::clone(&entry.place.home.0);
    let (timer, most) = (shared.settings.timer, shared.settings.reset_timeout);
    let mut steps = Steps::default();
    let begun = shared.with_first(&mut steps, |desk, _| {
        if desk.is_closed {
            return Err(entry);
        }
        entry.place.counted = Some(Kind::Reset);
        desk.resetting += 1;
        desk.counts.resets += 1;
        let job = Box::pin(async move {
            let shared = Arc::clone(&entry.place.home.0);
            let is_reset = within(timer, most, shared.connect.reset(&mut entry.connection)).await;
            // Dropped when it failed, took too long, or was called off.
            if matches!(is_reset, Some(Ok(()))) && !shared.connect.is_broken(&mut entry.connection) {
                entry.place.counted = None;
                let mut steps = Steps::default();
                shared.with_first(&mut steps, |desk, _| desk.resetting -= 1);
                steps.take(|| Shared::give_back(entry));
                steps.pass_on();
            }
        });
        let number = desk.errands.begin(&shared, Kind::Reset, shared.expires(most), job);
        Ok(if desk.run.is_none() { desk.errands.take_ready(number) } else { None })
    });
    match begun {
        // Its first poll. Not those of other jobs, which may need a runtime that is not here.
        Ok(taken) => taken.into_iter().for_each(|job| shared.poll_job(&mut steps, job)),
        Err(entry) => steps.take(|| shared.retire(entry)),
    }
    steps.pass_on();
}

impl<C: Connect> Deref for PoolLease<C> {
    type Target = C::Connection;

    #[inline]
    fn deref(&self) -> &C::Connection {
        &self.held().connection
    }
}

impl<C: Connect> DerefMut for PoolLease<C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut C::Connection {
        &mut self.entry.as_mut().expect(HOLDS).connection
    }
}

impl<C: Connect> Lease for PoolLease<C> {
    type Connection = C::Connection;

    fn discard(self) {
        PoolLease::discard(self);
    }
}

impl<C: Connect> fmt::Debug for PoolLease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolLease").field("place", &self.held().place.index).finish_non_exhaustive()
    }
}
