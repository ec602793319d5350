//! Wakers that panic: what was to be done beside waking is done, and everybody else is woken.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use standpipe_core::{Connect, Error};
use standpipe_pool::Pool;

use crate::{
    acquiring,
    alarm::{S, ring, timed},
    backend::advance,
    lease_of, poll_times, pool_of, settings,
};

/// Panics when it is woken.
struct Bad;

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("woken"));
    }
}

fn bad() -> Waker {
    Waker::from(Arc::new(Bad))
}

#[derive(Default)]
struct Heard(AtomicBool);

impl Wake for Heard {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Whether a waker panicked meanwhile.
fn panics(act: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(act)).is_err()
}

fn poll_with<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

#[test]
fn all_who_wait_are_told_of_a_close() {
    let (pool, _) = pool_of(1);
    let held = lease_of(&pool);
    let heard = Arc::new(Heard::default());
    let (mut first, mut second) = (acquiring(&pool), acquiring(&pool));
    assert!(poll_with(&mut first, &bad()).is_pending());
    assert!(poll_with(&mut second, &Waker::from(Arc::clone(&heard))).is_pending());
    assert!(panics(|| _ = poll_times(&mut Box::pin(pool.close()), 1)));
    assert!(heard.0.load(SeqCst), "the second was not told");
    drop(held);
    assert!(poll_times(&mut Box::pin(pool.close()), 1).is_some());
}

#[test]
fn what_is_idle_is_closed_by_a_close_that_calls_who_runs_the_pool() {
    let (pool, backend) = pool_of(1);
    drop(lease_of(&pool));
    let mut run = Box::pin(pool.run());
    assert!(poll_with(&mut run, &bad()).is_pending());
    assert!(panics(|| _ = poll_times(&mut Box::pin(pool.close()), 1)));
    assert_eq!(backend.open(), 0, "one was left idle");
}

/// Takes leave for ever; what was lent is not clean.
#[derive(Default)]
struct Slow {
    connects: AtomicUsize,
}

impl Connect for Slow {
    type Connection = u8;
    async fn connect(&self) -> Result<u8, Error> {
        self.connects.fetch_add(1, SeqCst);
        Ok(0)
    }
    async fn check(&self, _: &mut u8) -> Result<(), Error> {
        Ok(())
    }
    fn is_broken(&self, _: &mut u8) -> bool {
        false
    }
    fn is_clean(&self, lent: &mut u8) -> bool {
        *lent == 0
    }
    async fn reset(&self, lent: &mut u8) -> Result<(), Error> {
        *lent = 0;
        Ok(())
    }
    async fn close(&self, _: u8) {
        std::future::pending().await
    }
}

#[test]
fn all_who_poll_jobs_are_called() {
    let pool = Pool::new(Slow::default(), timed(1, S));
    drop(lease_of(&pool));
    let (mut run, mut close) = (Box::pin(pool.run()), Box::pin(pool.close()));
    assert!(poll_times(&mut run, 1).is_none());
    let heard = Arc::new(Heard::default());
    assert!(poll_with(&mut close, &Waker::from(Arc::clone(&heard))).is_pending());
    assert!(poll_with(&mut run, &bad()).is_pending());
    heard.0.store(false, SeqCst);
    advance(5 * S);
    assert!(panics(ring));
    assert!(heard.0.load(SeqCst), "who closes was not called, as who runs the pool panicked");
    assert!(poll_times(&mut run, 1).is_some() && poll_times(&mut close, 1).is_some());
}

/// Jobs that are ready call who runs the pool, also from his own poll.
#[test]
fn no_job_is_lost_when_who_runs_the_pool_panics_each_time() {
    let pool = Pool::new(Slow::default(), settings(2));
    let mut leases = [lease_of(&pool), lease_of(&pool)];
    leases.iter_mut().for_each(|lease| **lease = 1);
    let mut run = Box::pin(pool.run());
    assert!(poll_with(&mut run, &bad()).is_pending());
    for lease in leases {
        assert!(panics(|| drop(lease)));
    }
    assert!(panics(|| _ = poll_with(&mut run, &bad())));
    let status = pool.status();
    assert_eq!((status.size, status.idle, status.resetting), (2, 2, 0));
}

#[test]
fn who_panics_as_he_asks_leaves_no_seat_behind() {
    let (pool, _) = pool_of(1);
    let mut run = Box::pin(pool.run());
    assert!(poll_with(&mut run, &bad()).is_pending());
    let mut asks = acquiring(&pool);
    assert!(panics(|| _ = poll_times(&mut asks, 1)), "a connect is to be polled");
    drop(asks);
    assert!(poll_times(&mut run, 3).is_none());
    assert_eq!((pool.status().waiting, pool.status().size), (0, 0), "nobody wants the connect any more");
    let mut next = acquiring(&pool);
    assert!(poll_times(&mut next, 1).is_none() && poll_times(&mut run, 3).is_none());
    assert!(poll_times(&mut next, 1).is_some());
}

#[test]
fn who_panics_as_he_comes_to_the_desk_does_not_stay_there() {
    for runs in [true, false] {
        let (pool, backend) = pool_of(1);
        backend.connect_pends.store(2, SeqCst);
        let mut waits = acquiring(&pool);
        assert!(poll_times(&mut waits, 1).is_none(), "a connect is to be polled");
        let waker = Arc::new(Bad);
        let came = Waker::from(Arc::clone(&waker));
        if runs {
            let mut run = Box::pin(pool.run());
            assert!(panics(|| _ = poll_with(&mut run, &came)));
        } else {
            let mut close = Box::pin(pool.close());
            assert!(panics(|| _ = poll_with(&mut close, &came)));
        }
        drop(came);
        assert_eq!(Arc::strong_count(&waker), 1, "his waker is left behind");
        let served = poll_times(&mut waits, 5).expect("nobody polls the connect");
        assert_eq!(served.is_ok(), runs);
    }
}

#[test]
fn who_waits_behind_one_whose_time_is_up_is_told_in_time() {
    let pool = Pool::new(Slow::default(), timed(1, 2 * S));
    let _held = lease_of(&pool);
    let heard = Arc::new(Heard::default());
    let (mut first, mut second) = (acquiring(&pool), acquiring(&pool));
    assert!(poll_with(&mut first, &bad()).is_pending());
    advance(S);
    assert!(poll_with(&mut second, &Waker::from(Arc::clone(&heard))).is_pending());
    advance(S);
    assert!(panics(ring));
    assert!(poll_times(&mut first, 1).unwrap().is_err());
    advance(S);
    ring();
    assert!(heard.0.load(SeqCst), "no alarm was set for the second");
    assert!(poll_times(&mut second, 1).unwrap().is_err());
}
