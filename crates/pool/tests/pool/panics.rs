use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use standpipe_core::{Acquire, Lease};
use standpipe_pool::{Pool, Settings};

use crate::{
    acquiring,
    backend::{Backend, IN_CHECK, IN_CLOSE, IN_CONNECT, IN_CONNECT_CALL, IN_IS_BROKEN},
    lease_of, poll_times, pool_of, settings,
    wrong::{Fault, WrongPool},
};

/// Whether a waiter is served after the connect of the one before him panicked.
fn survives_a_panic_in_connect<A: Acquire + Clone>(pool: &A, backend: &Backend, place: usize) -> bool {
    backend.connect_pends.store(1, SeqCst);
    let held = lease_of(pool);
    let (mut first, mut second) = (acquiring(pool), acquiring(pool));
    assert!(poll_times(&mut first, 1).is_none() && poll_times(&mut second, 1).is_none());
    held.discard();
    backend.panics.store(place, SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| poll_times(&mut first, 5))).is_err());
    drop(first);
    poll_times(&mut second, 5).is_some_and(|lent| lent.is_ok())
}

#[test]
fn a_panic_in_connect_is_told_to_those_who_wait_and_frees_the_place() {
    for place in [IN_CONNECT_CALL, IN_CONNECT] {
        let (pool, backend) = pool_of(1);
        let held = lease_of(&pool);
        let mut waiters = [acquiring(&pool), acquiring(&pool)];
        assert!(waiters.iter_mut().all(|waiter| poll_times(waiter, 1).is_none()));
        held.discard();
        backend.panics.store(place, SeqCst);
        for waiter in &mut waiters {
            let told = poll_times(waiter, 5).unwrap().map(drop).unwrap_err();
            assert!(told.to_string().contains("panicked: the panic that the test asked for"), "{told}");
        }
        drop(lease_of(&pool));
        assert_eq!((pool.status().in_use, pool.status().idle, backend.open()), (0, 1, 1));
        for (fault, survives) in [(Fault::None, true), (Fault::SlotLost, false)] {
            let backend = Backend::default();
            let pool = WrongPool::new(&backend, 1, Duration::MAX, fault);
            assert_eq!(survives_a_panic_in_connect(&pool, &backend, place), survives);
        }
    }
}

#[test]
fn a_connection_whose_check_panicked_is_closed_and_its_place_is_free() {
    let backend = Backend::default();
    let pool = Pool::new(backend.clone(), Settings { check_after_idle: Duration::ZERO, ..settings(1) });
    drop(lease_of(&pool));
    backend.check_pends.store(1, SeqCst);
    backend.panics.store(IN_CHECK, SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| poll_times(&mut acquiring(&pool), 5))).is_err());
    assert_eq!((pool.status().size, backend.open(), backend.closed()), (0, 0, 1));
    assert_eq!(lease_of(&pool).serial, 1);
}

#[test]
fn a_panic_in_is_broken_or_in_closing_frees_the_place() {
    for place in [IN_IS_BROKEN, IN_CLOSE] {
        let (pool, backend) = pool_of(1);
        let mut lease = lease_of(&pool);
        lease.is_broken = true;
        backend.panics.store(place, SeqCst);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(lease))).is_err());
        assert_eq!((pool.status().size, backend.open()), (0, 0));
        assert_eq!(lease_of(&pool).serial, 1);
    }
}

#[test]
fn a_connection_is_closed_when_its_holder_panics() {
    let (pool, backend) = pool_of(1);
    let lease = lease_of(&pool);
    let held = catch_unwind(AssertUnwindSafe(move || {
        let _lease = lease;
        panic!("the panic that the test asked for");
    }));
    assert!(held.is_err());
    assert_eq!((pool.status().size, backend.closed()), (0, 1));
    assert_eq!(lease_of(&pool).serial, 1);
}
