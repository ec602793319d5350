//! A plain pool passes the suite, and each mistake planted in it is found by the case that is there for it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::VecDeque,
    future::poll_fn,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use standpipe_core::{Acquire, Connect, Error, Lease};
use standpipe_testkit::{
    acquire_suite::{AcquireFixture, CASES, SimConnect, SimConnection, run, run_case},
    block_on,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    /// The place is given back when `acquire` returns.
    PlaceEndsWithAcquire,
    /// A newcomer takes a place that is free though others wait.
    Barges,
    /// Those who wait are woken, the last first.
    LastFirst,
    /// A dropped `acquire` that waits keeps its number: the queue ends there.
    CancelKeepsNumber,
    /// A dropped `acquire` that connects keeps its place.
    CancelKeepsPlace,
    /// A failure to connect keeps the place.
    FailureKeepsPlace,
    /// A failure to connect is reported as a timeout.
    FailureIsTimeout,
    /// A connection that comes back is closed.
    ClosesAll,
    /// A discarded connection is kept.
    KeepsDiscarded,
    /// A discarded connection keeps its place.
    DiscardKeepsPlace,
    /// A broken connection is lent again.
    KeepsBroken,
}

struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    connect: SimConnect,
    mistake: Option<Mistake>,
    state: Mutex<State>,
}

struct State {
    free: usize,
    idle: Vec<SimConnection>,
    queue: VecDeque<(u64, Option<Waker>)>,
    next: u64,
}

struct Loan {
    connection: Option<SimConnection>,
    place: Option<Place>,
    shared: Arc<Shared>,
}

/// One of the places; dropping it gives it to whoever is next.
struct Place(Arc<Shared>);

/// A number in the queue; dropping it leaves the queue.
struct Number(u64, Arc<Shared>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn wake(&self) {
        let waker = {
            let mut state = self.lock();
            let next =
                if self.makes(Mistake::LastFirst) { state.queue.back_mut() } else { state.queue.front_mut() };
            next.and_then(|(_, waker)| waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().free += 1;
        self.0.wake();
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        if self.1.makes(Mistake::CancelKeepsNumber) {
            return;
        }
        self.1.lock().queue.retain(|(number, _)| *number != self.0);
        self.1.wake();
    }
}

impl Pool {
    async fn place(&self) -> Place {
        let shared = &self.shared;
        let number = {
            let mut state = shared.lock();
            state.next += 1;
            let number = state.next;
            state.queue.push_back((number, None));
            Number(number, Arc::clone(shared))
        };
        poll_fn(|context| {
            let mut state = shared.lock();
            let state = &mut *state;
            let turn =
                if shared.makes(Mistake::LastFirst) { state.queue.back() } else { state.queue.front() };
            let ours = shared.makes(Mistake::Barges) || turn.is_some_and(|(first, _)| *first == number.0);
            if ours && state.free > 0 {
                state.free -= 1;
                state.queue.retain(|(other, _)| *other != number.0);
                return Poll::Ready(());
            }
            if let Some((_, waker)) = state.queue.iter_mut().find(|(other, _)| *other == number.0) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
        Place(Arc::clone(shared))
    }
}

impl Acquire for Pool {
    type Connection = SimConnection;
    type Lease = Loan;

    async fn acquire(&self) -> Result<Loan, Error> {
        let shared = &self.shared;
        let place = self.place().await;
        let idle = shared.lock().idle.pop();
        let connection = match idle {
            Some(connection) => connection,
            None if shared.makes(Mistake::CancelKeepsPlace) => {
                std::mem::forget(place);
                let connected = shared.connect.connect().await;
                let place = Place(Arc::clone(shared));
                return Ok(self.loan(connected?, place));
            }
            None => match shared.connect.connect().await {
                Ok(connection) => connection,
                Err(error) => {
                    if shared.makes(Mistake::FailureKeepsPlace) {
                        std::mem::forget(place);
                    }
                    return Err(match shared.makes(Mistake::FailureIsTimeout) {
                        true => Error::retry("no connection came in time"),
                        false => error,
                    });
                }
            },
        };
        Ok(self.loan(connection, place))
    }
}

impl Pool {
    fn loan(&self, connection: SimConnection, place: Place) -> Loan {
        let place = (!self.shared.makes(Mistake::PlaceEndsWithAcquire)).then_some(place);
        Loan { connection: Some(connection), place, shared: Arc::clone(&self.shared) }
    }
}

impl Deref for Loan {
    type Target = SimConnection;

    fn deref(&self) -> &SimConnection {
        self.connection.as_ref().unwrap()
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut SimConnection {
        self.connection.as_mut().unwrap()
    }
}

impl Lease for Loan {
    type Connection = SimConnection;

    fn discard(mut self) {
        if !self.shared.makes(Mistake::KeepsDiscarded) {
            drop(self.connection.take());
        }
        if self.shared.makes(Mistake::DiscardKeepsPlace) {
            std::mem::forget(self.place.take());
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let broken =
            self.shared.connect.is_broken(&mut connection) && !self.shared.makes(Mistake::KeepsBroken);
        if !broken && !self.shared.makes(Mistake::ClosesAll) {
            self.shared.lock().idle.push(connection);
        }
    }
}

struct Fixture(Option<Mistake>);

impl AcquireFixture for Fixture {
    type Pool = Pool;

    fn open(&self, connect: SimConnect, most: usize) -> Pool {
        let state = State { free: most, idle: Vec::new(), queue: VecDeque::new(), next: 0 };
        Pool { shared: Arc::new(Shared { connect, mistake: self.0, state: Mutex::new(state) }) }
    }
}

#[test]
fn a_plain_pool_passes() {
    assert_eq!(block_on(run(&Fixture(None))), CASES.len());
}

#[test]
fn each_planted_mistake_is_found_by_its_case() {
    let planted: [(Mistake, &[&str]); 11] = [
        (
            Mistake::PlaceEndsWithAcquire,
            &[
                "acquire_duty_1_k1_never_more_than_the_limit_is_lent",
                "acquire_duty_1_k1_a_crowd_never_holds_more_than_the_limit",
            ],
        ),
        (Mistake::Barges, &["acquire_duty_2_p10_grants_come_in_the_order_of_asking"]),
        (Mistake::LastFirst, &["acquire_duty_2_p10_grants_come_in_the_order_of_asking"]),
        (Mistake::CancelKeepsNumber, &["acquire_duty_2_p10_a_waiter_that_leaves_does_not_stop_the_queue"]),
        (Mistake::CancelKeepsPlace, &["acquire_duty_3_p3_cancel_at_every_poll_while_connecting"]),
        (Mistake::FailureKeepsPlace, &["acquire_duty_5_p5_a_failed_connect_frees_its_place"]),
        (Mistake::FailureIsTimeout, &["acquire_duty_5_p5_the_reason_reaches_the_waiter"]),
        (
            Mistake::ClosesAll,
            &[
                "acquire_duty_4_a_dropped_lease_gives_the_connection_back",
                "acquire_duty_3_p3_cancel_at_every_poll_while_waiting",
            ],
        ),
        (Mistake::KeepsDiscarded, &["acquire_duty_4_a_discarded_lease_frees_its_place"]),
        (Mistake::DiscardKeepsPlace, &["acquire_duty_4_a_discarded_lease_frees_its_place"]),
        (Mistake::KeepsBroken, &["acquire_duty_4_a_broken_connection_is_not_lent_again"]),
    ];
    // Some mistakes show only as a wait that does not end: side by side these take as long as one.
    std::thread::scope(|scope| {
        for (mistake, cases) in planted {
            for case in cases {
                scope.spawn(move || {
                    let run = || block_on(run_case(&Fixture(Some(mistake)), case));
                    assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "{case} does not find {mistake:?}");
                });
            }
        }
    });
}
