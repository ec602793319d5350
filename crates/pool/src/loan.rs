use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    thread,
};

use standpipe_core::{Connect, Error};

use crate::{
    pooled::Pooled,
    shared::Shared,
    state::{Place, Wakes},
};

/// A place in the pool with what is in it. However a loan ends, by return, cancellation or panic, its place is
/// handed on once, and its connection is kept unless there is a reason to close it.
pub(crate) struct Loan<C: Connect> {
    pub(crate) pooled: Place<C::Connection>,
    /// A user has had it, so coming back is a return.
    pub(crate) lent: bool,
    /// The user's `check` is running at this instant; it stays set only by a panic.
    checking: bool,
    /// Last, so that the connection is closed before its place is free: never are more open than the limit.
    slot: Slot<C>,
}

struct Slot<C: Connect> {
    shared: Arc<Shared<C>>,
    held: bool,
}

impl<C: Connect> Loan<C> {
    /// Takes over a place that the state counts as in use.
    pub(crate) fn new(shared: &Arc<Shared<C>>, pooled: Place<C::Connection>) -> Self {
        let slot = Slot { shared: Arc::clone(shared), held: true };
        Loan { pooled, lent: false, checking: false, slot }
    }

    /// Closes the connection, and keeps the place.
    pub(crate) fn empty(&mut self) {
        self.pooled = None;
    }

    /// Whether there is a connection in it, once an idle one was looked for.
    pub(crate) fn is_filled(&mut self) -> bool {
        if self.pooled.is_none() {
            self.pooled = self.slot.shared.with(|state| state.swap_for_idle());
        }
        self.pooled.is_some()
    }

    /// Whether the connection in it can be lent. Dropped, the check is unfinished and stays due.
    pub(crate) async fn is_usable(&mut self) -> bool {
        let Loan { pooled: Some(pooled), checking, slot, .. } = self else { return false };
        let (settings, now) = (&slot.shared.settings, slot.shared.now());
        if pooled.is_expired(settings, now) {
            return false;
        }
        if !pooled.is_check_due(settings, now) {
            return true;
        }
        let connect = &slot.shared.connect;
        let connection = &mut pooled.connection;
        mark_polls(checking, async move { connect.check(connection).await }).await.is_ok()
    }

    /// Makes a connection in it.
    pub(crate) async fn connect(&mut self) -> Result<(), Error> {
        let connection = self.slot.shared.connect.connect().await?;
        self.pooled = Some(Pooled::new(connection, self.slot.shared.now()));
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.slot.shared.with(|state| state.is_closed())
    }
}

impl<C: Connect> Drop for Loan<C> {
    fn drop(&mut self) {
        // A connection that is not put back is closed where this local ends, before the slot is dropped.
        let Some(mut pooled) = self.pooled.take() else { return };
        let shared = Arc::clone(&self.slot.shared);
        let now = shared.now();
        // A check that was dropped is the implementer's duty to have left clean; one that panicked, or a user who
        // panicked over his work, has not.
        let is_spoiled = if self.lent { thread::panicking() } else { self.checking };
        if is_spoiled
            || pooled.is_past_life(&shared.settings, now)
            || shared.connect.is_broken(&mut pooled.connection)
        {
            return;
        }
        if self.lent {
            pooled.idle_since = now;
        }
        if self.slot.put(pooled).is_some() {
            return;
        }
        // One comes back, at most one goes: the cold end ages out without a timer and without a long pause.
        if let Some(cold) =
            shared.with(|state| state.take_coldest(|pooled| pooled.is_expired(&shared.settings, now)))
        {
            Loan::new(&shared, Some(cold)).empty();
        }
    }
}

impl<C: Connect> Slot<C> {
    /// Gives the place back with a connection in it; the connection is returned when the pool is closed.
    fn put(&mut self, pooled: Pooled<C::Connection>) -> Option<Pooled<C::Connection>> {
        let (refused, wakes) = self.shared.with(|state| {
            if state.is_closed() { (Some(pooled), Wakes::Nobody) } else { (None, state.give(Some(pooled))) }
        });
        self.held = refused.is_some();
        wakes.wake();
        refused
    }
}

impl<C: Connect> Drop for Slot<C> {
    fn drop(&mut self) {
        if self.held {
            self.shared.with(|state| state.give(None)).wake();
        }
    }
}

/// Sets `mark` for the time of each poll, so that a panic is told from a drop between polls.
async fn mark_polls<F: Future>(mark: &mut bool, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        *mark = true;
        let polled = future.as_mut().poll(cx);
        *mark = false;
        polled
    })
    .await
}
