use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
};

use standpipe_core::{Connect, Error, ErrorKind};
use standpipe_pool::Pool;

use crate::{
    acquiring,
    alarm::{S, ring, timed},
    backend::{IN_CLOSE, advance},
    lease_of, poll_times, pool_of,
};

struct Quiet;

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

fn kind_of<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

#[test]
fn close_drains() {
    let (pool, backend) = pool_of(2);
    let (lease, idle) = (lease_of(&pool), lease_of(&pool));
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 1).is_none());
    let mut close = Box::pin(pool.close());
    assert!(poll_times(&mut close, 1).is_none());
    assert_eq!(kind_of(poll_times(&mut waiter, 1).unwrap()), Some(ErrorKind::Closed));
    assert_eq!(kind_of(poll_times(&mut acquiring(&pool), 1).unwrap()), Some(ErrorKind::Closed));
    drop(idle);
    assert!(poll_times(&mut close, 3).is_none(), "one is still lent");
    drop(lease);
    assert!(poll_times(&mut close, 1).is_some());
    assert_eq!((backend.open(), backend.closed()), (0, 2));
    assert_eq!((pool.status().size, pool.status().waiting), (0, 0));
    assert!(poll_times(&mut Box::pin(pool.close()), 1).is_some(), "closing twice is closing");
}

#[test]
fn a_close_that_is_dropped_has_closed_and_another_can_wait() {
    let (pool, _) = pool_of(1);
    let lease = lease_of(&pool);
    assert!(poll_times(&mut Box::pin(pool.close()), 1).is_none());
    assert_eq!(kind_of(poll_times(&mut acquiring(&pool), 1).unwrap()), Some(ErrorKind::Closed));
    let quiet = Arc::new(Quiet);
    let waker = Waker::from(Arc::clone(&quiet));
    let mut dropped = Box::pin(pool.close());
    for _ in 0..2 {
        assert!(Pin::as_mut(&mut dropped).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop((dropped, waker));
    assert_eq!(Arc::strong_count(&quiet), 1, "no waker is left behind");
    let (mut one, mut two) = (Box::pin(pool.close()), Box::pin(pool.close()));
    assert!(poll_times(&mut one, 1).is_none() && poll_times(&mut two, 1).is_none());
    drop(lease);
    assert!(poll_times(&mut one, 1).is_some() && poll_times(&mut two, 1).is_some());
}

#[test]
fn a_close_is_woken_by_the_last_return() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (pool, backend) = pool_of(4);
    runtime.block_on(async {
        let leases: Vec<_> = [pool.acquire().await, pool.acquire().await].into();
        let closing = tokio::spawn({
            let pool = pool.clone();
            async move { pool.close().await }
        });
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        drop(leases);
        closing.await.unwrap();
    });
    assert_eq!(backend.open(), 0);
}

#[test]
fn one_who_connects_while_the_pool_closes_gets_closed() {
    let (pool, backend) = pool_of(1);
    backend.connect_pends.store(2, SeqCst);
    let mut acquire = acquiring(&pool);
    assert!(poll_times(&mut acquire, 1).is_none());
    assert!(poll_times(&mut Box::pin(pool.close()), 1).is_some(), "the connect is called off");
    assert_eq!(kind_of(poll_times(&mut acquire, 5).unwrap()), Some(ErrorKind::Closed));
    assert_eq!(backend.open(), 0);
}

#[test]
fn one_who_was_served_but_did_not_fetch_it_holds_a_connection_until_he_looks() {
    let (pool, backend) = pool_of(1);
    let lease = lease_of(&pool);
    let mut served = acquiring(&pool);
    assert!(poll_times(&mut served, 1).is_none());
    drop(lease);
    assert_eq!(pool.status().in_use, 1);
    let mut close = Box::pin(pool.close());
    assert!(poll_times(&mut close, 1).is_none());
    drop(poll_times(&mut served, 1).unwrap());
    assert!(poll_times(&mut close, 1).is_some());
    assert_eq!(backend.open(), 0);
}

#[test]
fn a_connection_that_panics_when_it_closes_leaves_the_counts_exact() {
    let (pool, backend) = pool_of(3);
    drop((lease_of(&pool), lease_of(&pool), lease_of(&pool)));
    backend.panics.store(IN_CLOSE, SeqCst);
    assert!(poll_times(&mut Box::pin(pool.close()), 1).is_some());
    assert_eq!((backend.open(), pool.status().size), (0, 0));
}

#[test]
fn what_is_idle_goes_with_the_last_handle_and_what_is_lent_with_its_lease() {
    let (pool, backend) = pool_of(2);
    let lease = lease_of(&pool);
    drop(lease_of(&pool));
    assert_eq!(backend.open(), 2);
    drop(pool);
    assert_eq!(backend.open(), 1);
    drop(lease);
    assert_eq!(backend.open(), 0);
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
