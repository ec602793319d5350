use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use standpipe_core::ErrorKind;
use standpipe_pool::{Pool, PoolLease, Settings};

use crate::{
    acquiring,
    backend::{Backend, advance},
    lease_of, poll_times, pool_of, settings,
};

#[test]
fn the_connection_used_last_is_lent_first() {
    let (pool, _) = pool_of(3);
    let (first, second) = (lease_of(&pool), lease_of(&pool));
    let serial = first.serial;
    drop(second);
    drop(first);
    assert_eq!(lease_of(&pool).serial, serial);
}

#[test]
fn a_limit_of_none_is_a_limit_of_one() {
    let (pool, _) = pool_of(0);
    let lease = lease_of(&pool);
    assert!(poll_times(&mut acquiring(&pool), 5).is_none());
    drop(lease);
}

#[test]
fn discard_closes_and_frees_the_place() {
    let (pool, backend) = pool_of(1);
    let lease = lease_of(&pool);
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 1).is_none());
    lease.discard();
    assert_eq!((backend.open(), backend.closed()), (0, 1));
    let lease = poll_times(&mut waiter, 1).unwrap().unwrap();
    assert_eq!((lease.serial, pool.status().in_use), (1, 1));
    drop(lease);
    assert_eq!((pool.status().in_use, pool.status().idle), (0, 1));
}

#[test]
fn detach_takes_the_connection_and_frees_the_place() {
    let (pool, backend) = pool_of(1);
    let lease = lease_of(&pool);
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 1).is_none());
    let wire = lease.detach();
    assert_eq!(poll_times(&mut waiter, 1).unwrap().unwrap().serial, wire.serial + 1);
    drop(waiter);
    assert_eq!((backend.open(), pool.status().size), (2, 1));
    drop(wire);
    assert_eq!((backend.open(), pool.status().size), (1, 1));
}

#[test]
fn a_broken_connection_is_closed_and_the_next_waiter_connects() {
    let (pool, backend) = pool_of(1);
    let mut lease = lease_of(&pool);
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 1).is_none());
    lease.is_broken = true;
    drop(lease);
    assert_eq!(poll_times(&mut waiter, 1).unwrap().unwrap().serial, 1);
    assert_eq!((backend.open_peak.load(SeqCst), backend.closed()), (1, 1));
}

#[test]
fn a_failed_check_costs_the_connection_and_not_the_place_in_the_queue() {
    let backend = Backend::default();
    let settings = Settings { check_after_idle: Duration::from_secs(30), ..settings(2) };
    let pool = Pool::new(backend.clone(), settings);
    let both = (lease_of(&pool), lease_of(&pool));
    drop(both);
    drop(lease_of(&pool));
    assert_eq!(backend.checks.load(SeqCst), 0, "not idle for long");
    advance(Duration::from_secs(30));
    backend.fails_checks.store(true, SeqCst);
    assert_eq!(lease_of(&pool).serial, 2, "both were dead, a new one is made");
    assert_eq!((backend.checks.load(SeqCst), backend.closed(), pool.status().size), (2, 2, 1));
}

#[test]
fn a_check_that_was_cut_short_stays_due() {
    let backend = Backend::default();
    let settings = Settings { check_after_idle: Duration::from_secs(30), ..settings(1) };
    let pool = Pool::new(backend.clone(), settings);
    drop(lease_of(&pool));
    advance(Duration::from_secs(30));
    backend.check_pends.store(1, SeqCst);
    assert!(poll_times(&mut acquiring(&pool), 1).is_none());
    drop(lease_of(&pool));
    assert_eq!(backend.checks.load(SeqCst), 2);
    drop(lease_of(&pool));
    assert_eq!((backend.checks.load(SeqCst), backend.dials()), (2, 1), "it was just in use");
}

#[test]
fn an_acquirer_that_was_to_connect_takes_what_became_idle_meanwhile() {
    let (pool, backend) = pool_of(2);
    let (lease, other) = (lease_of(&pool), lease_of(&pool));
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 1).is_none());
    lease.discard();
    drop(other);
    assert_eq!(poll_times(&mut waiter, 1).unwrap().unwrap().serial, 1);
    assert_eq!(pool.status().connecting, 1, "nobody has looked at it yet");
    drop(lease_of(&pool));
    assert_eq!((backend.dials(), pool.status().size), (2, 1), "it was not wanted any more");
}

#[test]
fn what_is_idle_for_too_long_is_closed_on_acquire_and_by_a_sweep() {
    let backend = Backend::default();
    let pool = Pool::new(backend.clone(), Settings { idle_max: Duration::from_secs(10), ..settings(4) });
    let lend_all = || (0..4).map(|_| lease_of(&pool)).collect::<Vec<_>>();
    drop(lend_all());
    advance(Duration::from_secs(10));
    let lease = lease_of(&pool);
    assert_eq!((lease.serial, backend.open()), (4, 1), "all four were past it");

    drop(lease);
    drop(lend_all());
    advance(Duration::from_secs(6));
    drop(lease_of(&pool));
    advance(Duration::from_secs(6));
    drop(lease_of(&pool));
    assert_eq!(pool.sweep(), 3);
    assert_eq!((pool.status().idle, pool.status().in_use, backend.open()), (1, 0, 1));
    assert_eq!(pool.sweep(), 0);
}

#[test]
fn a_sweep_closes_what_is_old_where_nobody_keeps_idle_min() {
    let backend = Backend::default();
    let chosen = Settings {
        idle_min: 3,
        idle_max: Duration::from_secs(10),
        life_max: Duration::from_secs(100),
        ..settings(8)
    };
    let pool = Pool::new(backend.clone(), chosen);
    let both = (lease_of(&pool), lease_of(&pool));
    drop(both);
    advance(Duration::from_secs(10));
    assert_eq!((pool.sweep(), backend.open()), (2, 0));
}

#[test]
fn an_idle_connection_past_its_life_is_not_lent() {
    let backend = Backend::default();
    let pool = Pool::new(backend.clone(), Settings { life_max: Duration::from_secs(10), ..settings(1) });
    drop(lease_of(&pool));
    advance(Duration::from_secs(10));
    assert_eq!((lease_of(&pool).serial, backend.open()), (1, 1));
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
fn a_full_queue_refuses_and_a_place_in_it_comes_free() {
    let pool = Pool::new(Backend::default(), Settings { waiters_max: 1, ..settings(1) });
    let lease = lease_of(&pool);
    let mut waiter = acquiring(&pool);
    assert!(poll_times(&mut waiter, 2).is_none());
    let refused = poll_times(&mut acquiring(&pool), 1).unwrap().map(drop).unwrap_err();
    assert_eq!((refused.kind(), pool.status().waiting), (ErrorKind::Retry, 1));
    drop(waiter);
    assert_eq!(pool.status().waiting, 0);
    assert!(poll_times(&mut acquiring(&pool), 1).is_none());
    drop(lease);
}

#[test]
fn a_timeout_of_the_runtime_ends_the_wait() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (pool, _) = pool_of(1);
    runtime.block_on(async {
        let lease = pool.acquire().await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(1), pool.acquire()).await.is_err());
        assert_eq!(pool.status().waiting, 0);
        drop(lease);
        assert!(pool.acquire().await.is_ok());
    });
}

#[derive(Default)]
struct Heard(AtomicBool);

impl Wake for Heard {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_waiter_is_woken_when_one_who_was_served_before_him_goes_away() {
    let (pool, _) = pool_of(1);
    let lease = lease_of(&pool);
    let heard = [Arc::new(Heard::default()), Arc::new(Heard::default())];
    let mut waiters: Vec<_> = heard.iter().map(|_| acquiring(&pool)).collect();
    for (waiter, heard) in waiters.iter_mut().zip(&heard) {
        let waker = Waker::from(Arc::clone(heard));
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(lease);
    assert_eq!(heard.each_ref().map(|heard| heard.0.load(SeqCst)), [true, false]);
    drop(waiters.remove(0));
    assert!(heard[1].0.load(SeqCst));
    assert!(poll_times(&mut waiters[0], 1).unwrap().is_ok());
}

/// An executor may drop a whole task, and the lease in it, with the task's last waker.
struct Holding(#[expect(dead_code, reason = "held to be dropped")] Mutex<Option<PoolLease<Backend>>>);

impl Wake for Holding {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_that_gives_a_lease_back_when_it_is_dropped_does_not_lock_up() {
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        let (pool, _) = pool_of(1);
        let waker = Waker::from(Arc::new(Holding(Mutex::new(Some(lease_of(&pool))))));
        let mut waiter = acquiring(&pool);
        assert!(Pin::as_mut(&mut waiter).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert!(
            poll_times(&mut waiter, 1).is_none(),
            "the waker is replaced, and the lease with it given back"
        );
        let lease = poll_times(&mut waiter, 1).unwrap().unwrap();
        let waker = Waker::from(Arc::new(Holding(Mutex::new(Some(lease)))));
        let mut waiter = acquiring(&pool);
        assert!(Pin::as_mut(&mut waiter).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        drop(waiter);
        assert_eq!((pool.status().in_use, pool.status().waiting), (0, 0));
        done.send(()).unwrap();
    });
    finished.recv_timeout(Duration::from_secs(30)).expect("locked up or failed");
}
