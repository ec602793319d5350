use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use standpipe_core::Connect;

use crate::{Settings, state::State};

/// What the handles, the waits and the leases of one pool share.
pub(crate) struct Shared<C: Connect> {
    pub(crate) connect: C,
    pub(crate) settings: Settings,
    state: Mutex<State<C::Connection>>,
}

impl<C: Connect> Shared<C> {
    pub(crate) fn new(connect: C, settings: Settings) -> Self {
        let state = State::new(settings.connections_max.max(1), settings.waiters_max);
        Shared { connect, settings, state: Mutex::new(state) }
    }

    /// Changes the state under the lock. What the change returns is dropped after the lock is released: a
    /// connection or a waker may run code of its user when it is dropped, and that code may come back here.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut State<C::Connection>) -> R) -> R {
        // No code of a user runs under the lock, so a poisoned one guards a whole state.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn now(&self) -> Instant {
        (self.settings.clock)()
    }
}
