//! What an adversary found: each was broken once.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Wake, Waker},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use standpipe_core::{Connect, Error};
use standpipe_pool::{Alarm, Pool, Settings, Status, Timer};

use crate::{
    acquiring,
    backend::{Backend, advance, clock},
    lease_of, poll_times, settings,
};

thread_local! {
    static SET: RefCell<Vec<(u64, Instant, Waker)>> = const { RefCell::new(Vec::new()) };
    static NEXT: RefCell<u64> = const { RefCell::new(0) };
}

/// The clock of this thread, and alarms that ring when [`ring`] is called.
#[derive(Debug)]
struct Rung;

impl Timer for Rung {
    fn now(&self) -> Instant {
        clock()
    }

    fn wake_at(&self, at: Instant, waker: Waker) -> Alarm {
        let number = NEXT.with_borrow_mut(|next| {
            *next += 1;
            *next
        });
        SET.with_borrow_mut(|set| set.push((number, at, waker)));
        Alarm::new(move || {
            let dropped: Vec<_> =
                SET.with_borrow_mut(|set| set.extract_if(.., |one| one.0 == number).collect());
            drop(dropped);
        })
    }
}

/// Wakes whose time is up.
fn ring() {
    loop {
        let due: Vec<_> = SET.with_borrow_mut(|set| set.extract_if(.., |one| one.1 <= clock()).collect());
        if due.is_empty() {
            return;
        }
        due.into_iter().for_each(|(_, _, waker)| waker.wake());
    }
}

fn timed(connections_max: usize, acquire_timeout: Duration) -> Settings {
    Settings { timer: &Rung, acquire_timeout, ..settings(connections_max) }
}

const S: Duration = Duration::from_secs(1);

/// A runtime that was busy for long has not polled `run`: its clock stands still meanwhile.
#[test]
fn who_waits_after_the_runtime_stalled_is_not_told_that_his_time_is_up() {
    let pool = Pool::new(Backend::default(), timed(1, S));
    let mut run = Box::pin(pool.run());
    assert!(poll_times(&mut run, 1).is_none());
    let mut first = acquiring(&pool);
    assert!(poll_times(&mut first, 1).is_none());
    assert!(poll_times(&mut run, 1).is_none());
    let lease = poll_times(&mut first, 1).unwrap().unwrap();
    advance(10 * S);
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 1).is_none());
    ring();
    assert!(poll_times(&mut waiter, 1).is_none(), "he has not waited at all");
    drop(lease);
    drop(poll_times(&mut waiter, 1).unwrap().unwrap());
}

#[test]
fn who_queues_again_after_a_failed_check_is_told_in_time() {
    let backend = Backend::default();
    let pool = Pool::new(
        backend.clone(),
        Settings { check_after_idle: Duration::ZERO, connect_timeout: Duration::MAX, ..timed(1, 30 * S) },
    );
    let lease = lease_of(&pool);
    let mut first = acquiring(&pool);
    assert!(poll_times(&mut first, 1).is_none());
    advance(28 * S);
    let mut second = acquiring(&pool);
    assert!(poll_times(&mut second, 1).is_none());
    backend.check_pends.store(1, SeqCst);
    backend.fails_checks.store(true, SeqCst);
    backend.connect_pends.store(1_000, SeqCst);
    drop(lease);
    assert!(poll_times(&mut first, 1).is_none(), "under check");
    advance(3 * S);
    // The alarm of the first rings, and is set for the second, who came 28 s later.
    ring();
    assert!(poll_times(&mut first, 1).is_none(), "connects");
    ring();
    assert!(poll_times(&mut first, 1).unwrap().is_err(), "he has waited for 31 s of 30");
    assert!(poll_times(&mut second, 1).is_none());
}

#[test]
fn who_keeps_his_turn_does_not_keep_the_time_of_those_behind_him() {
    let backend = Backend::default();
    let pool = Pool::new(
        backend.clone(),
        Settings { check_after_idle: Duration::ZERO, connect_timeout: Duration::MAX, ..timed(1, 30 * S) },
    );
    drop(lease_of(&pool));
    backend.check_pends.store(1, SeqCst);
    backend.fails_checks.store(true, SeqCst);
    backend.connect_pends.store(1_000, SeqCst);
    let mut first = acquiring(&pool);
    assert!(poll_times(&mut first, 1).is_none(), "under check");
    advance(S);
    let mut second = acquiring(&pool);
    assert!(poll_times(&mut second, 1).is_none());
    advance(4 * S);
    assert!(poll_times(&mut first, 1).is_none(), "connects, in front of the second");
    advance(26 * S);
    ring();
    assert!(poll_times(&mut second, 1).unwrap().is_err(), "he has waited for 30 s of 30");
}

/// Always panics when it is dropped.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
        std::panic::resume_unwind(Box::new("dropped"));
    }
}

struct Bombs(Arc<AtomicUsize>);

impl Connect for Bombs {
    type Connection = Bomb;
    async fn connect(&self) -> Result<Bomb, Error> {
        self.0.fetch_add(1, SeqCst);
        Ok(Bomb(Arc::clone(&self.0)))
    }
    async fn check(&self, _: &mut Bomb) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut Bomb) -> bool {
        false
    }
}

/// A second panic while the first unwinds would abort the process.
#[test]
fn connections_that_all_panic_as_they_are_closed_are_all_closed() {
    let open = Arc::new(AtomicUsize::new(0));
    let pool = Pool::new(Bombs(Arc::clone(&open)), settings(4));
    let lend = || (0..4).map(|_| lease_of(&pool)).collect::<Vec<_>>();
    lend().into_iter().for_each(drop);
    assert!(catch_unwind(AssertUnwindSafe(|| pool.resize(1))).is_err());
    assert_eq!((open.load(SeqCst), pool.status().size), (1, 1));
    pool.resize(4);
    lend().into_iter().for_each(drop);
    assert_eq!(open.load(SeqCst), 4);
    assert!(catch_unwind(AssertUnwindSafe(move || drop(pool))).is_err());
    assert_eq!(open.load(SeqCst), 0);
}

#[test]
fn a_sweep_closes_what_is_old_where_nobody_keeps_idle_min() {
    let backend = Backend::default();
    let chosen = Settings { idle_min: 3, idle_max: 10 * S, life_max: 100 * S, ..settings(8) };
    let pool = Pool::new(backend.clone(), chosen);
    let both = (lease_of(&pool), lease_of(&pool));
    drop(both);
    advance(10 * S);
    assert_eq!((pool.sweep(), backend.open()), (2, 0));
}

#[test]
fn a_pool_in_which_nobody_may_wait_connects_nevertheless() {
    let pool = Pool::new(Backend::default(), Settings { waiters_max: 0, ..settings(2) });
    let leases = [lease_of(&pool), lease_of(&pool)];
    assert!(poll_times(&mut acquiring(&pool), 1).unwrap().is_err(), "all are in use");
    drop(leases);
    drop(lease_of(&pool));
}

#[test]
fn a_timeout_does_not_say_that_all_are_in_use_while_one_is_being_made() {
    let backend = Backend::default();
    let pool = Pool::new(backend.clone(), timed(1, S));
    backend.connect_pends.store(1_000, SeqCst);
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 1).is_none());
    advance(S);
    ring();
    let told = poll_times(&mut waiter, 1).unwrap().map(drop).unwrap_err().to_string();
    assert!(told.contains("connect") && !told.contains("all are in use"), "{told}");
}

#[derive(Default)]
struct Heard(AtomicBool);

impl Wake for Heard {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Takes leave for ever.
struct Silent;

impl Connect for Silent {
    type Connection = u8;
    async fn connect(&self) -> Result<u8, Error> {
        Ok(0)
    }
    async fn check(&self, _: &mut u8) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut u8) -> bool {
        false
    }
    async fn close(&self, _: u8) {
        std::future::pending().await
    }
}

/// The runtime of `run` may stand still, as may the task of another close.
#[test]
fn a_close_goes_on_whoever_else_is_not_polled() {
    for runs in [true, false] {
        let pool = Pool::new(Silent, timed(1, S));
        drop(lease_of(&pool));
        let (mut run, mut other) = (Box::pin(pool.run()), Box::pin(pool.close()));
        if runs {
            assert!(poll_times(&mut run, 1).is_none());
        } else {
            assert!(poll_times(&mut other, 1).is_none());
        }
        let heard = Arc::new(Heard::default());
        let waker = Waker::from(Arc::clone(&heard));
        let mut close = Box::pin(pool.close());
        assert!(close.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        heard.0.store(false, SeqCst);
        advance(5 * S);
        ring();
        assert!(heard.0.load(SeqCst), "not told that the leave has taken too long");
        assert!(poll_times(&mut close, 1).is_some());
    }
}

/// Says who polls its connects.
#[derive(Default)]
struct Watched {
    polls: Mutex<Vec<ThreadId>>,
}

impl Connect for Watched {
    type Connection = bool;
    async fn connect(&self) -> Result<bool, Error> {
        let is_first = self.polls.lock().unwrap().is_empty();
        std::future::poll_fn(|context| {
            self.polls.lock().unwrap().push(thread::current().id());
            context.waker().wake_by_ref();
            if is_first { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        Ok(false)
    }
    async fn check(&self, _: &mut bool) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut bool) -> bool {
        false
    }
    fn is_clean(&self, is_dirty: &mut bool) -> bool {
        !*is_dirty
    }
}

#[derive(Default)]
struct Shared(Arc<Watched>);

impl Connect for Shared {
    type Connection = bool;
    async fn connect(&self) -> Result<bool, Error> {
        self.0.connect().await
    }
    async fn check(&self, _: &mut bool) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut bool) -> bool {
        false
    }
    fn is_clean(&self, is_dirty: &mut bool) -> bool {
        self.0.is_clean(is_dirty)
    }
    async fn reset(&self, is_dirty: &mut bool) -> Result<(), Error> {
        *is_dirty = false;
        Ok(())
    }
}

/// Looks at the pool when it is woken.
struct Looks {
    pool: Pool<Shared>,
    seen: Mutex<Vec<Status>>,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        self.seen.lock().unwrap().push(self.pool.status());
    }
}

#[test]
fn what_was_reset_is_not_counted_as_reset_when_it_is_handed_over() {
    let pool = Pool::new(Shared::default(), settings(1));
    let mut lease = lease_of(&pool);
    *lease = true;
    let looks = Arc::new(Looks { pool: pool.clone(), seen: Mutex::default() });
    let waker = Waker::from(Arc::clone(&looks));
    let mut waiter = acquiring(&pool);
    assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(lease);
    let seen = looks.seen.lock().unwrap().pop().unwrap();
    assert_eq!((seen.size, seen.in_use, seen.resetting, seen.idle), (1, 1, 0, 0));
    assert!(poll_times(&mut waiter, 1).is_some());
}

/// That thread may have no runtime, in which the connects of others would panic.
#[test]
fn who_gives_one_back_polls_its_reset_and_not_the_connects_of_others() {
    let watched = Arc::new(Watched::default());
    let pool = Pool::new(Shared(Arc::clone(&watched)), settings(2));
    let mut lease = lease_of(&pool);
    *lease = true;
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 2).is_none());
    thread::spawn(move || drop(lease)).join().unwrap();
    let here = thread::current().id();
    assert!(watched.polls.lock().unwrap().iter().all(|thread| *thread == here), "polled elsewhere");
    assert!(!*poll_times(&mut waiter, 1).unwrap().unwrap(), "reset, and handed over");
}

/// The cause of an error, which looks at the pool when it is dropped.
struct Cause(Arc<Mutex<Option<Pool<Refuses>>>>);

impl Drop for Cause {
    fn drop(&mut self) {
        let pool = self.0.lock().unwrap().clone();
        let _ = pool.map(|pool| pool.status());
    }
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cause")
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cause")
    }
}

impl std::error::Error for Cause {}

struct Refuses(Arc<Mutex<Option<Pool<Refuses>>>>, AtomicUsize);

impl Connect for Refuses {
    type Connection = u8;
    async fn connect(&self) -> Result<u8, Error> {
        match self.1.fetch_add(1, SeqCst) {
            0 | 1 => Err(Error::retry("refused").with_source(Cause(Arc::clone(&self.0)))),
            _ => Ok(0),
        }
    }
    async fn check(&self, _: &mut u8) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut u8) -> bool {
        false
    }
}

#[test]
fn an_error_that_asks_the_pool_as_it_is_dropped_does_not_lock_up() {
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        let asked = Arc::default();
        let pool = Pool::new(Refuses(Arc::clone(&asked), AtomicUsize::new(0)), settings(1));
        *asked.lock().unwrap() = Some(pool.clone());
        for _ in 0..2 {
            assert!(poll_times(&mut acquiring(&pool), 1).unwrap().is_err());
        }
        drop(lease_of(&pool));
        *asked.lock().unwrap() = None;
        done.send(()).unwrap();
    });
    finished.recv_timeout(30 * S).expect("locked up or failed");
}
