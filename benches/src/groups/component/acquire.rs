use std::time::{Duration, Instant};

use standpipe_harness::{Context, Outcome, Sample, check};
use standpipe_pool::{Pool, PoolLease, Settings};
use tokio::runtime::Builder;

use super::{closed_loop, sqlite_thread::SqliteFile};
use crate::setup::{by_median, settings};

pub(super) fn checked(context: &Context) -> Outcome<Sample> {
    run(context, Duration::ZERO, drop, 1)
}

pub(super) fn connected(context: &Context) -> Outcome<Sample> {
    run(context, Duration::MAX, PoolLease::discard, 0)
}

fn run(
    context: &Context,
    check_after_idle: Duration,
    end: impl Fn(PoolLease<SqliteFile>),
    idle_at_end: usize,
) -> Outcome<Sample> {
    let path = context.dir("database")?.join("a.db");
    rusqlite::Connection::open(&path)?.execute_batch("CREATE TABLE t (a INTEGER)")?;
    let over = Settings { check_after_idle, ..Settings::default() };
    let pool = Pool::new(SqliteFile(path), settings::pool_over(&context.settings, over)?);
    let runtime = Builder::new_current_thread().build()?;
    let latency = closed_loop(context, || {
        let began = Instant::now();
        let lease = runtime.block_on(pool.acquire())?;
        let ended = Instant::now();
        end(lease);
        Ok((began, ended))
    })?;
    let status = pool.status();
    check("connections at rest", (status.size, status.idle), (idle_at_end, idle_at_end))?;
    runtime.block_on(pool.close());
    Ok(by_median(&latency))
}
