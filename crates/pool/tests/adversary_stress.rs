//! All at once on real threads, for a while: cancels, discards, detaches, resizes, panics, runs that come and go. Each connection
//! knows whether two hold it, and the backend how many are open. `STRESS_SECONDS` makes it longer.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use standpipe_core::{Connect, Error, ErrorKind};
use standpipe_pool::{Pool, Settings};
use standpipe_testkit::Random;

const LIMIT_MAX: usize = 140;

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    detached: AtomicUsize,
    dials: AtomicUsize,
    turn: AtomicUsize,
}

struct Backend(Arc<Counts>);

struct Wire {
    is_held: Arc<AtomicBool>,
    is_detached: bool,
    is_dirty: bool,
    is_broken: bool,
    counts: Arc<Counts>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if !self.is_detached {
            self.counts.open.fetch_sub(1, SeqCst);
        }
    }
}

/// Every so often it takes some polls, fails, or panics.
async fn sometimes(counts: &Counts, what: &str) -> Result<(), Error> {
    let turn = counts.turn.fetch_add(1, SeqCst);
    let mut pends = if turn.is_multiple_of(3) { turn % 7 } else { 0 };
    poll_fn(|context| {
        if pends == 0 {
            return Poll::Ready(());
        }
        pends -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    if turn % 1_009 == 5 {
        resume_unwind(Box::new(what.to_owned()));
    }
    if turn % 101 == 7 { Err(Error::retry(what)) } else { Ok(()) }
}

impl Connect for Backend {
    type Connection = Wire;
    async fn connect(&self) -> Result<Wire, Error> {
        self.0.dials.fetch_add(1, SeqCst);
        sometimes(&self.0, "connect").await?;
        let open = self.0.open.fetch_add(1, SeqCst) + 1;
        assert!(open <= LIMIT_MAX, "{open} open");
        Ok(Wire {
            is_held: Arc::default(),
            is_detached: false,
            is_dirty: false,
            is_broken: false,
            counts: Arc::clone(&self.0),
        })
    }
    async fn check(&self, wire: &mut Wire) -> Result<(), Error> {
        assert!(!wire.is_held.load(SeqCst), "checked while it is held");
        sometimes(&self.0, "check").await
    }
    fn is_broken(&self, wire: &mut Wire) -> bool {
        wire.is_broken
    }
    fn is_clean(&self, wire: &mut Wire) -> bool {
        !wire.is_dirty
    }
    async fn reset(&self, wire: &mut Wire) -> Result<(), Error> {
        sometimes(&self.0, "reset").await?;
        wire.is_dirty = false;
        Ok(())
    }
    async fn close(&self, wire: Wire) {
        let _ = sometimes(&self.0, "close").await;
        drop(wire);
    }
}

struct Parker {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.woken.notify_one();
    }
}

/// Blocks on it for so many polls at most; a wake that does not come within a minute is lost.
fn block_on<F: Future>(what: &str, polls_max: usize, future: F) -> Option<F::Output> {
    let parker = Arc::new(Parker { is_woken: Mutex::new(false), woken: Condvar::new() });
    let waker = Waker::from(Arc::clone(&parker));
    let mut future = pin!(future);
    for _ in 0..polls_max {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let is_woken = parker.is_woken.lock().unwrap();
        let (mut is_woken, wait) =
            parker.woken.wait_timeout_while(is_woken, Duration::from_secs(60), |woken| !*woken).unwrap();
        assert!(!wait.timed_out(), "{what}: nobody woke it for a minute");
        *is_woken = false;
    }
    None
}

fn user(pool: &Pool<Backend>, seed: u64, until: &AtomicBool, lent: &AtomicUsize) {
    let mut random = Random::new(seed);
    while !until.load(SeqCst) {
        let polls = if random.below(3) == 0 { random.below(4) as usize } else { usize::MAX };
        let acquired = catch_unwind(AssertUnwindSafe(|| block_on("acquire", polls, pool.acquire())));
        let mut lease = match acquired {
            Ok(Some(Ok(lease))) => lease,
            Ok(Some(Err(error))) => {
                assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
                continue;
            }
            Ok(None) => continue,
            Err(panic) => {
                // One that the backend made, not one of the pool.
                assert!(panic.downcast_ref::<String>().is_some_and(|what| what == "check"));
                continue;
            }
        };
        assert!(!lease.is_held.swap(true, SeqCst), "lent to two");
        assert!(!lease.is_dirty, "lent as it was left");
        lent.fetch_add(1, SeqCst);
        if random.below(4) == 0 {
            thread::yield_now();
        }
        lease.is_dirty = random.below(8) == 0;
        lease.is_broken = random.below(300) == 0;
        lease.is_held.store(false, SeqCst);
        match random.below(200) {
            0 => lease.discard(),
            1 => {
                // It is not the pool's from here on.
                let held = Arc::clone(&lease.counts);
                held.detached.fetch_add(1, SeqCst);
                lease.is_detached = true;
                held.open.fetch_sub(1, SeqCst);
                drop(lease.detach());
            }
            2 => {
                let _ = catch_unwind(AssertUnwindSafe(move || {
                    let _lease = lease;
                    resume_unwind(Box::new("the user's"));
                }));
            }
            3 => thread::spawn(move || drop(lease)).join().unwrap(),
            _ => drop(lease),
        }
    }
}

fn stress(seconds: f64, connections_max: usize, users: u64, runs: bool, resizes: bool) -> usize {
    let counts = Arc::new(Counts::default());
    let settings = Settings {
        connections_max,
        check_after_idle: Duration::ZERO,
        life_max: Duration::from_millis(300),
        idle_max: Duration::from_millis(80),
        idle_min: if runs { 2 } else { 0 },
        acquire_timeout: Duration::from_secs(30),
        backoff_min: Duration::from_micros(10),
        backoff_max: Duration::from_micros(100),
        ..Settings::default()
    };
    let pool = Pool::new(Backend(Arc::clone(&counts)), settings);
    let (until, lent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ends = Instant::now() + Duration::from_secs_f64(seconds);
    thread::scope(|scope| {
        for seed in 0..users {
            let (pool, until, lent) = (pool.clone(), &until, &lent);
            scope.spawn(move || user(&pool, seed + 1, until, lent));
        }
        if runs {
            let (pool, until) = (&pool, &until);
            scope.spawn(move || {
                // Each ends after some polls, and another follows.
                while !until.load(SeqCst) {
                    block_on("run", 50, pool.run());
                    thread::yield_now();
                }
            });
        }
        let mut random = Random::new(99);
        while Instant::now() < ends {
            if resizes {
                pool.resize(random.below(LIMIT_MAX as u64) as usize);
            }
            pool.sweep();
            let status = pool.status();
            assert!(status.size <= LIMIT_MAX, "{status:?}");
            thread::sleep(Duration::from_millis(1));
        }
        until.store(true, SeqCst);
    });
    pool.resize(connections_max);
    // What is left of jobs goes on with whoever comes by.
    loop {
        drop(catch_unwind(AssertUnwindSafe(|| block_on("acquire at the end", usize::MAX, pool.acquire()))));
        let status = pool.status();
        if status.resetting + status.connecting == 0 {
            break;
        }
    }
    let status = pool.status();
    assert_eq!((status.waiting, status.in_use), (0, 0), "{status:?}");
    assert_eq!(status.idle, counts.open.load(SeqCst), "{status:?}");
    block_on("close", usize::MAX, pool.close()).unwrap();
    assert_eq!((pool.status().size, counts.open.load(SeqCst)), (0, 0), "{:?}", pool.status());
    drop(pool);
    assert_eq!(Arc::strong_count(&counts), 1, "the pool is leaked");
    lent.load(SeqCst)
}

#[test]
fn everything_at_once_leaves_each_connection_to_one_and_the_counts_exact() {
    let seconds = std::env::var("STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1.5);
    let shapes = [
        (1, 3, false, false),
        (1, 3, true, false),
        (4, 8, false, false),
        (4, 8, true, true),
        (130, 150, true, true),
        (130, 150, false, true),
    ];
    for (connections_max, users, runs, resizes) in shapes {
        let lent = stress(seconds / shapes.len() as f64, connections_max, users, runs, resizes);
        assert!(lent > 0, "{connections_max} for {users}, run {runs}, resized {resizes}");
    }
}
