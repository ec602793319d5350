use std::{
    fmt,
    time::{Duration, Instant},
};

use sqlx_core::{
    Error as SqlxError,
    connection::Connection,
    database::Database,
    executor::Executor,
    pool::{Pool, PoolConnection, PoolOptions},
    rt,
};
use standpipe_core::{Acquire, Error};

use crate::{SqlxLease, error_of, roll_back};

/// sqlx's own pool in the place of standpipe's. A handle; clones are the same pool.
///
/// Made with [`open`](SqlxPool::open) it does the duties of [`Acquire`], but for those that the README names. A pool that there is
/// already is taken as it is, [from](SqlxPool::from) itself: then sqlx closes a healthy connection when an `acquire` is dropped
/// while it is pinged (unless `test_before_acquire` is off), and lends on a transaction that was begun by a `BEGIN`.
pub struct SqlxPool<DB: Database> {
    pool: Pool<DB>,
    /// Idle connections are pinged here, because sqlx closes one whose ping is dropped.
    pings: bool,
}

impl<DB: Database> SqlxPool<DB> {
    /// A pool that connects when it is first asked.
    ///
    /// Two things of `options` are set: `after_release` is to [roll back](roll_back), and with `test_before_acquire` it is this
    /// adapter that pings. The rest is as it was.
    ///
    /// # Panics
    /// In sqlx, where it finds no runtime.
    #[must_use]
    pub fn open(options: PoolOptions<DB>, connect: <DB::Connection as Connection>::Options) -> Self
    where
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    {
        let pings = options.get_test_before_acquire();
        let pool = options
            .test_before_acquire(false)
            .after_release(|connection, _| {
                Box::pin(async move {
                    roll_back::<DB>(connection).await?;
                    Ok(true)
                })
            })
            .connect_lazy_with(connect);
        SqlxPool { pool, pings }
    }

    /// sqlx's pool itself.
    #[must_use]
    pub fn inner(&self) -> &Pool<DB> {
        &self.pool
    }

    /// Lends nothing more, and returns when all connections came back and are closed.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn take(&self, most: Duration) -> Result<PoolConnection<DB>, SqlxError> {
        let began = Instant::now();
        let silent = |_| SqlxError::PoolTimedOut;
        loop {
            let left = most.saturating_sub(began.elapsed());
            let mut connection = rt::timeout(left, self.pool.acquire()).await.map_err(silent)??;
            if !self.pings {
                return Ok(connection);
            }
            // Dropped here, the connection goes back.
            let left = most.saturating_sub(began.elapsed());
            if matches!(rt::timeout(left, connection.ping()).await, Ok(Ok(()))) {
                return Ok(connection);
            }
            connection.close_on_drop();
        }
    }
}

impl<DB: Database> Acquire for SqlxPool<DB> {
    type Connection = DB::Connection;
    type Lease = SqlxLease<DB>;

    async fn acquire(&self) -> Result<SqlxLease<DB>, Error> {
        let most = self.pool.options().get_acquire_timeout();
        self.take(most).await.map(SqlxLease::new).map_err(error_of::<DB>)
    }
}

impl<DB: Database> From<Pool<DB>> for SqlxPool<DB> {
    fn from(pool: Pool<DB>) -> Self {
        SqlxPool { pool, pings: false }
    }
}

impl<DB: Database> Clone for SqlxPool<DB> {
    fn clone(&self) -> Self {
        SqlxPool { pool: self.pool.clone(), pings: self.pings }
    }
}

impl<DB: Database> fmt::Debug for SqlxPool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlxPool")
            .field("size", &self.pool.size())
            .field("idle", &self.pool.num_idle())
            .finish()
    }
}
