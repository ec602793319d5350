//! The test kit's cases on both ways, and that they find what sqlx's pool does when it is taken as it is.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx_core::pool::PoolOptions;
use standpipe_core::{Acquire, Error, Lease};
use standpipe_pool::{Pool, Settings};
use standpipe_pool_sqlx::{SqlxConnect, SqlxPool};
use standpipe_testkit::{
    AcquireFixture, SimConnect,
    acquire_suite::{self, SimConnection},
};

use crate::nowhere::{Nowhere, To, ToNowhere};

/// Shows the test kit its own connection inside of sqlx's.
struct Seen<A>(A);

impl<A: Acquire<Connection = ToNowhere>> Acquire for Seen<A> {
    type Connection = SimConnection;
    type Lease = Seen<A::Lease>;

    async fn acquire(&self) -> Result<Seen<A::Lease>, Error> {
        self.0.acquire().await.map(Seen)
    }
}

impl<L: Deref<Target = ToNowhere>> Deref for Seen<L> {
    type Target = SimConnection;

    fn deref(&self) -> &SimConnection {
        &self.0.counted
    }
}

impl<L: DerefMut<Target = ToNowhere>> DerefMut for Seen<L> {
    fn deref_mut(&mut self) -> &mut SimConnection {
        &mut self.0.counted
    }
}

impl<L: Lease<Connection = ToNowhere>> Lease for Seen<L> {
    type Connection = SimConnection;

    fn discard(self) {
        self.0.discard();
    }
}

fn options(most: usize) -> PoolOptions<Nowhere> {
    PoolOptions::new().max_connections(most.try_into().unwrap())
}

struct Theirs;

impl AcquireFixture for Theirs {
    type Pool = Seen<SqlxPool<Nowhere>>;

    fn open(&self, connect: SimConnect, most: usize) -> Self::Pool {
        Seen(SqlxPool::open(options(most), To(connect)))
    }
}

struct TheirsAsItIs;

impl AcquireFixture for TheirsAsItIs {
    type Pool = Seen<SqlxPool<Nowhere>>;

    fn open(&self, connect: SimConnect, most: usize) -> Self::Pool {
        Seen(SqlxPool::from(options(most).connect_lazy_with(To(connect))))
    }
}

struct Ours {
    check_after_idle: Duration,
    trusts_the_count: bool,
}

impl AcquireFixture for Ours {
    type Pool = Seen<Pool<SqlxConnect<Nowhere>>>;

    fn open(&self, connect: SimConnect, most: usize) -> Self::Pool {
        let mut connect = SqlxConnect::new(To(connect));
        if self.trusts_the_count {
            connect = connect.trusting_the_count();
        }
        let settings = Settings {
            connections_max: most,
            check_after_idle: self.check_after_idle,
            backoff_min: Duration::from_millis(1),
            ..Settings::default()
        };
        Seen(Pool::new(connect, settings))
    }
}

/// Wants the connection back that was dropped just now. In sqlx's pool it is still on its way then, in a task and with a round
/// trip, and whoever asks meanwhile makes another one: see `a_dropped_lease_comes_back` in `sqlite`.
const AT_ONCE: &str = "acquire_duty_4_a_dropped_lease_gives_the_connection_back";

#[tokio::test]
async fn sqlxs_pool_does_the_duties_of_acquire() {
    let cases: Vec<_> = acquire_suite::CASES.iter().filter(|case| **case != AT_ONCE).collect();
    assert_eq!(cases.len(), acquire_suite::CASES.len() - 1);
    for case in cases {
        acquire_suite::run_case(&Theirs, case).await;
    }
}

/// When this fails, sqlx has changed: run all cases, and take it out of the README.
#[tokio::test]
#[should_panic(expected = "left: 2")]
async fn sqlxs_pool_does_not_give_back_at_once() {
    acquire_suite::run_case(&Theirs, AT_ONCE).await;
}

#[tokio::test]
async fn ours_over_sqlxs_connections_does_the_duties_of_acquire() {
    for check_after_idle in [Duration::ZERO, Duration::MAX] {
        let ours = Ours { check_after_idle, trusts_the_count: false };
        assert_eq!(acquire_suite::run(&ours).await, acquire_suite::CASES.len());
    }
    // Where a connection comes back without a round trip, it is the check that finds a broken one.
    let ours = Ours { check_after_idle: Duration::ZERO, trusts_the_count: true };
    assert_eq!(acquire_suite::run(&ours).await, acquire_suite::CASES.len());
}

/// Why the adapter pings by itself: sqlx's pool closes a healthy connection when the acquire that pings it is dropped.
#[tokio::test]
#[should_panic(expected = "a healthy connection was lost")]
async fn sqlxs_pool_as_it_is_loses_a_connection_under_check() {
    let case = "acquire_duty_3_p3_cancel_at_every_poll_while_waiting";
    acquire_suite::run_case(&TheirsAsItIs, case).await;
}
