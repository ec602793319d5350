use std::fmt;

use sqlx_core::{
    connection::{ConnectOptions, Connection},
    database::Database,
    executor::Executor,
};
use standpipe_core::{Connect, Error};

use crate::{error_of, roll_back};

/// Makes sqlx's connections for standpipe's pool, or for any that takes a [`Connect`].
///
/// A connection that comes back is [rolled back](roll_back), which is a round trip, as sqlx's own pool makes one with its ping,
/// and shows whether it still works.
pub struct SqlxConnect<DB: Database> {
    options: <DB::Connection as Connection>::Options,
    counted_only: bool,
}

impl<DB: Database> SqlxConnect<DB> {
    /// Connects as these options say.
    #[must_use]
    pub fn new(options: <DB::Connection as Connection>::Options) -> Self {
        SqlxConnect { options, counted_only: false }
    }

    /// Nobody sends `BEGIN` but through sqlx, which counts what it begins: a connection that comes back without such a
    /// transaction is lent on as it is, without a round trip. Whether it works is then asked only by the check of a
    /// connection that was idle for long; [`discard`](standpipe_core::Lease::discard) one that failed.
    ///
    /// A `BEGIN` that is sent all the same reaches the next user.
    #[must_use]
    pub fn trusting_the_count(mut self) -> Self {
        self.counted_only = true;
        self
    }
}

impl<DB> Connect for SqlxConnect<DB>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    type Connection = DB::Connection;

    async fn connect(&self) -> Result<DB::Connection, Error> {
        self.options.connect().await.map_err(error_of::<DB>)
    }

    async fn check(&self, connection: &mut DB::Connection) -> Result<(), Error> {
        connection.ping().await.map_err(error_of::<DB>)
    }

    /// sqlx does not say, without asking the other side.
    fn is_broken(&self, _: &mut DB::Connection) -> bool {
        false
    }

    fn is_clean(&self, connection: &mut DB::Connection) -> bool {
        // What is to be flushed is the rollback of a transaction that was dropped.
        self.counted_only && !connection.is_in_transaction() && !connection.should_flush()
    }

    async fn reset(&self, connection: &mut DB::Connection) -> Result<(), Error> {
        roll_back::<DB>(connection).await.map_err(error_of::<DB>)
    }

    async fn close(&self, connection: DB::Connection) {
        // The other side finds out by itself, if it cannot be told.
        connection.close().await.ok();
    }
}

impl<DB: Database> fmt::Debug for SqlxConnect<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options hold passwords, and not every driver hides them.
        f.debug_struct("SqlxConnect").field("counted_only", &self.counted_only).finish_non_exhaustive()
    }
}
