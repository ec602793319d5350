//! A backend that can be slow, refuse, or fall silent, and counts.
use std::{
    future::{Future, pending},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use standpipe_core::{Connect, Error, ErrorKind};
use standpipe_pool::{Pool, Settings, TokioTimer};
use tokio::time::sleep;

#[derive(Clone, Default)]
pub(crate) struct Backend(Arc<Counts>);

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) dials: AtomicUsize,
    pub(crate) checks: AtomicUsize,
    pub(crate) resets: AtomicUsize,
    pub(crate) farewells: AtomicUsize,
    pub(crate) open: AtomicUsize,
    pub(crate) open_most: AtomicUsize,
    pub(crate) closed: AtomicUsize,
    pub(crate) connect_ms: AtomicU64,
    pub(crate) check_ms: AtomicU64,
    pub(crate) reset_ms: AtomicU64,
    pub(crate) refuses: AtomicBool,
    pub(crate) refuses_resets: AtomicBool,
    pub(crate) is_silent: AtomicBool,
}

pub(crate) struct Wire {
    pub(crate) serial: usize,
    pub(crate) is_broken: bool,
    pub(crate) has_transaction: bool,
    counts: Arc<Counts>,
}

impl std::ops::Deref for Backend {
    type Target = Counts;
    fn deref(&self) -> &Counts {
        &self.0
    }
}

impl Counts {
    pub(crate) fn of(counter: &AtomicUsize) -> usize {
        counter.load(SeqCst)
    }

    async fn answer(&self, ms: &AtomicU64) {
        if self.is_silent.load(SeqCst) {
            pending::<()>().await;
        }
        match ms.load(SeqCst) {
            0 => {}
            ms => sleep(Duration::from_millis(ms)).await,
        }
    }
}

impl Connect for Backend {
    type Connection = Wire;

    async fn connect(&self) -> Result<Wire, Error> {
        let serial = self.dials.fetch_add(1, SeqCst);
        self.answer(&self.connect_ms).await;
        if self.refuses.load(SeqCst) {
            return Err(Error::new(ErrorKind::Invalid, "password authentication failed").with_code("28P01"));
        }
        self.open_most.fetch_max(self.open.fetch_add(1, SeqCst) + 1, SeqCst);
        Ok(Wire { serial, is_broken: false, has_transaction: false, counts: Arc::clone(&self.0) })
    }

    async fn check(&self, _: &mut Wire) -> Result<(), Error> {
        self.checks.fetch_add(1, SeqCst);
        self.answer(&self.check_ms).await;
        Ok(())
    }

    fn is_broken(&self, wire: &mut Wire) -> bool {
        wire.is_broken
    }

    fn is_clean(&self, wire: &mut Wire) -> bool {
        !wire.has_transaction
    }

    async fn reset(&self, wire: &mut Wire) -> Result<(), Error> {
        self.resets.fetch_add(1, SeqCst);
        self.answer(&self.reset_ms).await;
        if self.refuses_resets.load(SeqCst) {
            return Err(Error::retry("gone"));
        }
        wire.has_transaction = false;
        Ok(())
    }

    async fn close(&self, wire: Wire) {
        self.farewells.fetch_add(1, SeqCst);
        if self.is_silent.load(SeqCst) {
            pending::<()>().await;
        }
        drop(wire);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, SeqCst);
        self.counts.closed.fetch_add(1, SeqCst);
    }
}

/// On tokio's clock, with nothing that is not asked for.
pub(crate) fn settings(connections_max: usize) -> Settings {
    Settings {
        connections_max,
        idle_max: Duration::MAX,
        life_max: Duration::MAX,
        check_after_idle: Duration::MAX,
        seed: Some(7),
        timer: &TokioTimer,
        ..Settings::default()
    }
}

/// Runs it on a clock that jumps to the next alarm whenever nothing else is to be done.
pub(crate) fn on_paused_time<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

/// A pool with so many idle connections.
pub(crate) async fn warm(backend: &Backend, settings: Settings, idle: usize) -> Pool<Backend> {
    let pool = Pool::new(backend.clone(), settings);
    let mut leases = Vec::new();
    for _ in 0..idle {
        leases.push(pool.acquire().await.unwrap());
    }
    drop(leases);
    pool
}

/// What it comes to within so long.
pub(crate) async fn soon<F: Future>(what: &str, most: Duration, work: F) -> Result<F::Output, String> {
    tokio::time::timeout(most, work).await.map_err(|_| format!("{what}: not within {most:?}"))
}
