use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use standpipe_core::{Connect, Error, ErrorKind};

use crate::{poll::yield_once, target::Gate};

/// Makes connections that lead nowhere, counts them, and fails when told to. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct SimConnect {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    dials: u64,
    opened: u64,
    open: u64,
    open_most: u64,
    checks: u64,
    fail: Vec<(u64, ErrorKind)>,
    fail_all: Option<ErrorKind>,
    hang: Vec<(u64, Gate)>,
    fail_checks: bool,
}

/// A connection that leads nowhere. Dropping it closes it.
#[derive(Debug)]
pub struct SimConnection {
    number: u64,
    broken: bool,
    connect: SimConnect,
}

impl SimConnection {
    /// Its place among all connections that were opened, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// From now on it is known to be unusable.
    pub fn set_broken(&mut self) {
        self.broken = true;
    }
}

impl Drop for SimConnection {
    fn drop(&mut self) {
        self.connect.lock().open -= 1;
    }
}

impl SimConnect {
    /// Nothing fails.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the nth call of `connect` from now fail, from 1.
    pub fn fail_nth(&self, nth: u64, kind: ErrorKind) {
        let mut state = self.lock();
        let at = state.dials + nth;
        state.fail.push((at, kind));
    }

    /// Makes every call of `connect` fail, or none any more.
    pub fn fail_all(&self, kind: Option<ErrorKind>) {
        self.lock().fail_all = kind;
    }

    /// Makes the nth call of `connect` from now wait at the gate, from 1.
    pub fn hang_nth(&self, nth: u64, gate: Gate) {
        let mut state = self.lock();
        let at = state.dials + nth;
        state.hang.push((at, gate));
    }

    /// Makes every `check` fail, or none any more.
    pub fn fail_checks(&self, fail: bool) {
        self.lock().fail_checks = fail;
    }

    /// Calls of `connect`.
    #[must_use]
    pub fn dials(&self) -> u64 {
        self.lock().dials
    }

    /// Connections that were opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.lock().opened
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.lock().open
    }

    /// The most that were ever open at once.
    #[must_use]
    pub fn open_most(&self) -> u64 {
        self.lock().open_most
    }

    /// Calls of `check`.
    #[must_use]
    pub fn checks(&self) -> u64 {
        self.lock().checks
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connect for SimConnect {
    type Connection = SimConnection;

    async fn connect(&self) -> Result<SimConnection, Error> {
        let (gate, failure) = {
            let mut state = self.lock();
            state.dials += 1;
            let dial = state.dials;
            let gate = state.hang.iter().find(|(at, _)| *at == dial).map(|(_, gate)| gate.clone());
            let failure = state.fail.iter().find(|(at, _)| *at == dial).map(|(_, kind)| *kind);
            (gate, failure.or(state.fail_all))
        };
        // A real one waits for the network at least once, and can be dropped there.
        yield_once().await;
        if let Some(gate) = gate {
            gate.pass().await;
        }
        if let Some(kind) = failure {
            return Err(Error::new(kind, "password authentication failed").with_code("28P01"));
        }
        let mut state = self.lock();
        state.opened += 1;
        state.open += 1;
        state.open_most = state.open_most.max(state.open);
        Ok(SimConnection { number: state.opened, broken: false, connect: self.clone() })
    }

    async fn check(&self, connection: &mut SimConnection) -> Result<(), Error> {
        self.lock().checks += 1;
        yield_once().await;
        if self.lock().fail_checks || connection.broken {
            return Err(Error::retry("the connection is gone"));
        }
        Ok(())
    }

    fn is_broken(&self, connection: &mut SimConnection) -> bool {
        connection.broken
    }
}
