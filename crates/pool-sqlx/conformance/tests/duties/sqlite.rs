//! The same on a file, through sqlx's own SQLite driver. Each case is run on both ways.

use std::{
    future::{Future, poll_fn},
    mem,
    path::Path,
    pin::pin,
    task::Poll,
    thread,
    time::Duration,
};

use sqlx::{
    Connection as _, Row as _, SqliteConnection,
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use standpipe_core::{Acquire, Error, ErrorKind, Lease};
use standpipe_pool::{Pool, PoolLease, Settings};
use standpipe_pool_sqlx::{SqlxConnect, SqlxLease, SqlxPool};

type Ours = Pool<SqlxConnect<sqlx::Sqlite>>;
type Theirs = SqlxPool<sqlx::Sqlite>;

/// One of the two, and what `Acquire` leaves open.
trait Way: Acquire<Connection = SqliteConnection> + Sized {
    fn open(path: &Path, most: u32) -> Self;
    fn closed(&self) -> impl Future<Output = ()>;
    fn detach(lease: Self::Lease) -> SqliteConnection;
}

impl Way for Theirs {
    fn open(path: &Path, most: u32) -> Self {
        SqlxPool::open(PoolOptions::new().max_connections(most), options(path))
    }

    fn closed(&self) -> impl Future<Output = ()> {
        self.close()
    }

    fn detach(lease: SqlxLease<sqlx::Sqlite>) -> SqliteConnection {
        lease.detach()
    }
}

impl Way for Ours {
    fn open(path: &Path, most: u32) -> Self {
        let settings = Settings {
            connections_max: most as usize,
            check_after_idle: Duration::ZERO,
            ..Settings::default()
        };
        let pool = Pool::new(SqlxConnect::new(options(path)), settings);
        tokio::spawn(pool.run());
        pool
    }

    fn closed(&self) -> impl Future<Output = ()> {
        self.close()
    }

    fn detach(lease: PoolLease<SqlxConnect<sqlx::Sqlite>>) -> SqliteConnection {
        lease.detach()
    }
}

/// Who finds the file locked is told so at once.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path.join("file.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::ZERO)
}

async fn run(connection: &mut SqliteConnection, statement: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(statement).execute(connection).await.map(|_| ())
}

async fn count(connection: &mut SqliteConnection, query: &'static str) -> i64 {
    sqlx::query(query).fetch_one(connection).await.unwrap().get(0)
}

/// A temporary table lives as long as its connection, and nobody else sees it.
async fn mark(connection: &mut SqliteConnection) {
    run(connection, "CREATE TEMP TABLE mark (n)").await.unwrap();
}

async fn is_marked(connection: &mut SqliteConnection) -> bool {
    count(connection, "SELECT count(*) FROM sqlite_temp_schema WHERE name = 'mark'").await == 1
}

/// Polls so many times, with turns for the runtime's tasks and for SQLite's thread in between.
async fn poll_times<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        for _ in 0..50 {
            tokio::task::yield_now().await;
            thread::yield_now();
        }
    }
    None
}

/// A defect is a failure and no hang.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}

async fn lease<W: Way>(pool: &W) -> W::Lease {
    soon(pool.acquire()).await.unwrap()
}

async fn never_more_than_the_limit_is_lent<W: Way>(path: &Path) {
    let pool = W::open(path, 2);
    let (first, _second) = (lease(&pool).await, lease(&pool).await);
    let mut third = pin!(pool.acquire());
    assert!(poll_times(third.as_mut(), 20).await.is_none(), "three are lent where two may be");
    drop(first);
    soon(third).await.unwrap();
}

async fn a_dropped_lease_comes_back<W: Way>(path: &Path) {
    let pool = W::open(path, 1);
    mark(&mut *lease(&pool).await).await;
    for _ in 0..20 {
        assert!(is_marked(&mut *lease(&pool).await).await, "a healthy connection was closed");
    }
}

/// However it was begun, and however it was left.
async fn an_open_transaction_never_reaches_the_next_user<W: Way>(path: &Path) {
    let pool = W::open(path, 1);
    let mut elsewhere = SqliteConnection::connect_with(&options(path)).await.unwrap();
    run(&mut elsewhere, "CREATE TABLE t (n)").await.unwrap();
    for way in 0..5 {
        let mut lent = lease(&pool).await;
        match way {
            0 => run(&mut lent, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").await.unwrap(),
            1 => run(&mut lent, "SAVEPOINT s; INSERT INTO t VALUES (1)").await.unwrap(),
            2 | 3 => {
                let mut transaction = lent.begin().await.unwrap();
                run(&mut transaction, "INSERT INTO t VALUES (1)").await.unwrap();
                if way == 3 {
                    mem::forget(transaction);
                }
            }
            _ => {
                let mut transaction = lent.begin().await.unwrap();
                let mut inner = transaction.begin().await.unwrap();
                run(&mut inner, "INSERT INTO t VALUES (1)").await.unwrap();
                mem::forget(inner);
                mem::forget(transaction);
            }
        }
        drop(lent);
        // Nobody asks for it: its lock is given up all the same.
        soon(async {
            while run(&mut elsewhere, "BEGIN IMMEDIATE; ROLLBACK").await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut next = lease(&pool).await;
        assert_eq!(count(&mut next, "SELECT count(*) FROM t").await, 0, "way {way}: the row is there");
        let begun = next.begin_with("BEGIN IMMEDIATE").await.expect("no transaction is open");
        begun.rollback().await.unwrap();
    }
}

/// P3, P4: after each number of polls, while it waits and while it is given the connection.
async fn a_cancelled_acquire_loses_nothing<W: Way>(path: &Path) {
    let pool = W::open(path, 1);
    mark(&mut *lease(&pool).await).await;
    for before in 0..4 {
        for after in 0..6 {
            let lent = lease(&pool).await;
            {
                let mut waiting = pin!(pool.acquire());
                assert!(poll_times(waiting.as_mut(), before).await.is_none());
                drop(lent);
                drop(poll_times(waiting.as_mut(), after).await);
            }
            // And one that finds it idle, or on its way back.
            drop(poll_times(pool.acquire(), after).await);
            let mut lent = lease(&pool).await;
            assert!(is_marked(&mut lent).await, "a healthy connection was lost ({before}, {after} polls)");
            let fourth = poll_times(pool.acquire(), 2).await;
            assert!(fourth.is_none(), "more are lent than may be");
        }
    }
}

/// P3: while it connects.
async fn a_cancelled_connect_frees_its_place<W: Way>(path: &Path) {
    for polls in 0..6 {
        let pool = W::open(path, 2);
        for _ in 0..4 {
            drop(poll_times(pool.acquire(), polls).await);
        }
        let _both = (lease(&pool).await, lease(&pool).await);
    }
}

/// What its user was at goes on or not; the next one finds a connection that works.
async fn a_cancelled_query_does_not_reach_the_next_user<W: Way>(path: &Path) {
    const LONG: &str =
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000) SELECT n FROM c";
    let pool = W::open(path, 1);
    for polls in 0..4 {
        let mut lent = lease(&pool).await;
        drop(poll_times(sqlx::query(LONG).fetch_all(&mut *lent), polls).await);
        drop(lent);
        assert_eq!(count(&mut *lease(&pool).await, "SELECT 7").await, 7);
    }
}

async fn a_discarded_lease_is_closed<W: Way>(path: &Path) {
    let pool = W::open(path, 1);
    for _ in 0..5 {
        let mut lent = lease(&pool).await;
        assert!(!is_marked(&mut lent).await, "a discarded connection was lent again");
        mark(&mut lent).await;
        let mut next = pin!(pool.acquire());
        assert!(poll_times(next.as_mut(), 5).await.is_none());
        lent.discard();
        soon(next).await.unwrap().discard();
    }
}

async fn a_detached_connection_is_its_users<W: Way>(path: &Path) {
    let pool = W::open(path, 1);
    let mut lent = lease(&pool).await;
    mark(&mut lent).await;
    let mut detached = W::detach(lent);
    assert!(!is_marked(&mut *lease(&pool).await).await, "its place is free, for another");
    soon(pool.closed()).await;
    assert!(is_marked(&mut detached).await, "it outlives the pool");
}

async fn the_reason_reaches_the_waiter<W: Way>(path: &Path) {
    let pool = W::open(&path.join("absent"), 1);
    let error: Error = soon(pool.acquire()).await.err().expect("the folder is not there");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some("14")), "{error}");
    assert!(error.to_string().contains("unable to open database file"), "{error}");
    let source = std::error::Error::source(&error).expect("sqlx's own error");
    assert!(source.to_string().contains("unable to open database file"), "{source}");
}

async fn a_closed_pool_says_so<W: Way>(path: &Path) {
    let pool = W::open(path, 1);
    drop(lease(&pool).await);
    soon(pool.closed()).await;
    let error = soon(pool.acquire()).await.err().expect("it is closed");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
}

macro_rules! both_ways {
    ($($case:ident),* $(,)?) => {
        mod theirs {
            $(#[tokio::test]
            async fn $case() {
                super::$case::<super::Theirs>(tempfile::tempdir().unwrap().path()).await;
            })*
        }

        mod ours {
            $(#[tokio::test]
            async fn $case() {
                super::$case::<super::Ours>(tempfile::tempdir().unwrap().path()).await;
            })*
        }
    };
}

both_ways!(
    never_more_than_the_limit_is_lent,
    a_dropped_lease_comes_back,
    an_open_transaction_never_reaches_the_next_user,
    a_cancelled_acquire_loses_nothing,
    a_cancelled_connect_frees_its_place,
    a_cancelled_query_does_not_reach_the_next_user,
    a_discarded_lease_is_closed,
    a_detached_connection_is_its_users,
    the_reason_reaches_the_waiter,
    a_closed_pool_says_so,
);

/// Why `open` rolls back: sqlx's pool as it is knows nothing of a `BEGIN` that was sent.
#[tokio::test]
async fn sqlxs_pool_as_it_is_lends_on_an_open_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let pool = PoolOptions::new().max_connections(1).connect_lazy_with(options(folder.path()));
    let pool = Theirs::from(pool);
    run(&mut *lease(&pool).await, "BEGIN IMMEDIATE").await.unwrap();
    let begun = lease(&pool).await.begin().await.expect_err("it is open still");
    assert!(begun.to_string().contains("within a transaction"), "{begun}");
}

/// What `trusting_the_count` sees, and what it does not.
#[tokio::test]
async fn a_trusted_count_rolls_back_what_was_counted() {
    let folder = tempfile::tempdir().unwrap();
    let connect = SqlxConnect::<sqlx::Sqlite>::new(options(folder.path())).trusting_the_count();
    let pool = Pool::new(connect, Settings { connections_max: 1, ..Settings::default() });
    for is_forgotten in [false, true] {
        let mut lent = lease(&pool).await;
        let transaction = lent.begin().await.unwrap();
        if is_forgotten {
            mem::forget(transaction);
        } else {
            drop(transaction);
        }
        drop(lent);
        let mut next = lease(&pool).await;
        next.begin().await.expect("no transaction is open").rollback().await.unwrap();
    }
    run(&mut *lease(&pool).await, "BEGIN").await.unwrap();
    assert!(lease(&pool).await.begin().await.is_err(), "nobody counted that one");
}

/// A database that is busy passes.
#[tokio::test]
async fn busy_is_worth_another_try() {
    let folder = tempfile::tempdir().unwrap();
    let pool = <Theirs as Way>::open(folder.path(), 2);
    let (mut one, mut other) = (lease(&pool).await, lease(&pool).await);
    run(&mut one, "BEGIN IMMEDIATE").await.unwrap();
    let refused = run(&mut other, "BEGIN IMMEDIATE").await.unwrap_err();
    let error = standpipe_pool_sqlx::error_of::<sqlx::Sqlite>(refused);
    assert_eq!((error.kind(), error.code()), (ErrorKind::Retry, Some("5")), "{error}");
}
