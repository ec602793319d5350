use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use sqlx_core::{database::Database, pool::PoolConnection};
use standpipe_core::Lease;

/// A connection of sqlx's pool, lent.
///
/// Dropped, it goes back through a task that sqlx starts for it: there it is rolled back where
/// [`SqlxPool::open`](crate::SqlxPool::open) made the pool, then pinged, and closed if either fails.
///
/// # Panics
/// In sqlx, when it is dropped where sqlx finds no runtime.
pub struct SqlxLease<DB: Database> {
    connection: PoolConnection<DB>,
}

impl<DB: Database> SqlxLease<DB> {
    pub(crate) fn new(connection: PoolConnection<DB>) -> Self {
        SqlxLease { connection }
    }

    /// Takes leave of the other side and closes the connection, in a task that sqlx starts for it and that has 5 s. Then its
    /// place is free.
    pub fn discard(mut self) {
        self.connection.close_on_drop();
    }

    /// Takes the connection out of the pool, which forgets it: its place is free, and it no longer counts towards
    /// `max_connections`.
    #[must_use]
    pub fn detach(self) -> DB::Connection {
        self.connection.detach()
    }
}

impl<DB: Database> Deref for SqlxLease<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Database> DerefMut for SqlxLease<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: Database> Lease for SqlxLease<DB> {
    type Connection = DB::Connection;

    fn discard(self) {
        SqlxLease::discard(self);
    }
}

impl<DB: Database> fmt::Debug for SqlxLease<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlxLease").finish_non_exhaustive()
    }
}
