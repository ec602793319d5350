//! Who waits is told in time that nothing came, and not before.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use standpipe_pool::{Pool, Settings};

use crate::{
    acquiring,
    alarm::{S, ring, timed},
    backend::{Backend, advance},
    lease_of, poll_times,
};

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
