//! The pool against a backend that counts, polled by hand: every interleaving here is chosen, none is waited for.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod alarm;
mod backend;
mod closing;
mod conformance;
mod drops;
mod known_failures;
mod lending;
mod panics;
mod resets;
mod timeouts;
mod wakers;
mod wrong;

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use backend::Backend;
use standpipe_core::{Acquire, Error};
use standpipe_pool::{Pool, Settings};

/// Settings whose durations never end, on the clock that a test moves.
fn settings(connections_max: usize) -> Settings {
    Settings {
        connections_max,
        idle_max: Duration::MAX,
        life_max: Duration::MAX,
        check_after_idle: Duration::MAX,
        backoff_min: Duration::ZERO,
        life_jitter_percent: 0,
        timer: &backend::Still,
        ..Settings::default()
    }
}

fn pool_of(connections_max: usize) -> (Pool<Backend>, Backend) {
    let backend = Backend::default();
    (Pool::new(backend.clone(), settings(connections_max)), backend)
}

type Acquiring<A> = Pin<Box<dyn Future<Output = Result<<A as Acquire>::Lease, Error>>>>;

/// An acquire that is not polled yet.
fn acquiring<A: Acquire + Clone>(pool: &A) -> Acquiring<A> {
    let pool = pool.clone();
    Box::pin(async move { pool.acquire().await })
}

/// Polls at most so many times, woken or not.
fn poll_times<F: Future + ?Sized>(future: &mut Pin<Box<F>>, polls: usize) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// An acquire that must succeed at once, or nearly so.
fn lease_of<A: Acquire + Clone>(pool: &A) -> A::Lease {
    poll_times(&mut acquiring(pool), 20).expect("a place is free").expect("connects")
}
