//! The conformance suite for [`Acquire`]: pools.
//!
//! Each case is named by the duty it checks and panics when the duty is not done. The pool is given connections that lead
//! nowhere and are counted. A pool that needs a runtime gets its caller's; no case waits longer than some seconds.

mod connect;
mod lending;
mod queueing;

use standpipe_core::Acquire;

pub use connect::{SimConnect, SimConnection};

/// What the suite needs of a pool that is to be checked.
pub trait AcquireFixture {
    /// The pool.
    type Pool: Acquire<Connection = SimConnection>;

    /// A fresh pool that connects so and lends at most so many, with its other settings such that nobody gives up
    /// waiting within some seconds and no connection is dialled before it is asked for.
    fn open(&self, connect: SimConnect, most: usize) -> Self::Pool;
}

/// Names the case that fails.
struct Running<'a>(&'a str);

impl Drop for Running<'_> {
    #[allow(clippy::print_stderr)] // The panic names a line; whoever runs the suite needs the case.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the pool does not pass {}", self.0);
        }
    }
}

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        /// The names of all cases.
        pub const CASES: &[&str] = &[$(stringify!($name)),*];

        $(pub use $module::$name;)*

        /// Runs every case and returns how many there were.
        ///
        /// # Panics
        /// A duty is not done.
        pub async fn run<F: AcquireFixture>(fixture: &F) -> usize {
            for name in CASES {
                run_case(fixture, name).await;
            }
            CASES.len()
        }

        /// Runs one case by its name.
        ///
        /// # Panics
        /// A duty is not done, or there is no such case.
        pub async fn run_case<F: AcquireFixture>(fixture: &F, name: &str) {
            let _running = Running(name);
            match name {
                $(stringify!($name) => $module::$name(fixture).await,)*
                _ => panic!("there is no case {name}"),
            }
        }
    };
}

cases! {
    lending::acquire_duty_1_k1_never_more_than_the_limit_is_lent,
    lending::acquire_duty_1_k1_a_crowd_never_holds_more_than_the_limit,
    queueing::acquire_duty_2_p10_grants_come_in_the_order_of_asking,
    queueing::acquire_duty_2_p10_a_waiter_that_leaves_does_not_stop_the_queue,
    queueing::acquire_duty_3_p3_cancel_at_every_poll_while_connecting,
    queueing::acquire_duty_3_p3_cancel_at_every_poll_while_waiting,
    queueing::acquire_duty_3_p3_cancel_at_random,
    lending::acquire_duty_4_a_dropped_lease_gives_the_connection_back,
    lending::acquire_duty_4_a_discarded_lease_frees_its_place,
    lending::acquire_duty_4_a_broken_connection_is_not_lent_again,
    queueing::acquire_duty_5_p5_the_reason_reaches_the_waiter,
    queueing::acquire_duty_5_p5_a_failed_connect_frees_its_place,
}
