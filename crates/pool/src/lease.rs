#![expect(clippy::expect_used, reason = "a stated invariant: a lease holds its connection until it ends")]

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use standpipe_core::{Connect, Lease};

use crate::{loan::Loan, pooled::Pooled};

/// A borrowed connection, and the place in the pool that goes with it.
///
/// Dropped, the connection goes to the oldest waiter, or waits idle; it is closed instead when it
/// [is broken](Connect::is_broken), is past its life, the pool is closed, or the drop is part of a panic.
/// Dropping never blocks on the pool; closing a connection does what the connection's own drop does.
pub struct PoolLease<C: Connect> {
    loan: Loan<C>,
}

impl<C: Connect> PoolLease<C> {
    pub(crate) fn new(mut loan: Loan<C>) -> Self {
        loan.lent = true;
        PoolLease { loan }
    }

    /// Closes the connection; its place goes to the oldest waiter, who then connects.
    pub fn discard(mut self) {
        self.loan.empty();
    }

    /// Takes the connection out of the pool, which forgets it: its place goes to the oldest waiter, and it no longer
    /// counts towards `connections_max`.
    #[must_use]
    pub fn detach(mut self) -> C::Connection {
        let pooled = self.loan.pooled.take();
        pooled.map(|pooled| pooled.connection).expect(HOLDS)
    }

    fn pooled(&self) -> &Pooled<C::Connection> {
        self.loan.pooled.as_ref().expect(HOLDS)
    }
}

const HOLDS: &str = "invariant: a lease holds its connection until it ends";

impl<C: Connect> Deref for PoolLease<C> {
    type Target = C::Connection;

    fn deref(&self) -> &C::Connection {
        &self.pooled().connection
    }
}

impl<C: Connect> DerefMut for PoolLease<C> {
    fn deref_mut(&mut self) -> &mut C::Connection {
        &mut self.loan.pooled.as_mut().expect(HOLDS).connection
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
        f.debug_struct("PoolLease").field("born", &self.pooled().born).finish_non_exhaustive()
    }
}
