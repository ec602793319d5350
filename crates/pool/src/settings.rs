use std::time::Duration;

use crate::{ThreadTimer, Timer};

/// How a [`Pool`](crate::Pool) is set up. Plain data with defaults that are right for a database server across a network.
/// [`Duration::MAX`] means never.
///
/// ```
/// use std::time::Duration;
/// use standpipe_pool::Settings;
///
/// let settings = Settings { connections_max: 4, life_max: Duration::from_secs(600), ..Settings::default() };
/// assert_eq!(settings.connections_max, 4);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The most connections at any time: lent, idle, being made, reset and closed. 0 is taken as 1, more than 16,384 as that.
    pub connections_max: usize,
    /// So many are kept idle by [`run`](crate::Pool::run), which connects ahead of demand. Retiring for age goes on below
    /// `connections_max`; at that limit one at a time is first closed and then replaced.
    pub idle_min: usize,
    /// The most acquirers that may wait; one more is refused with [`Retry`](standpipe_core::ErrorKind::Retry). Where there is
    /// room for one more connection, one may wait for it even if this is 0.
    pub waiters_max: usize,
    /// How long one waits in the queue, for a connection that comes back or for a new one.
    pub acquire_timeout: Duration,
    /// How long one connect may take, with `after_connect`.
    pub connect_timeout: Duration,
    /// How long a check or `before_acquire` may take.
    pub check_timeout: Duration,
    /// How long a reset may take.
    pub reset_timeout: Duration,
    /// How long taking leave of the other side may take; then the connection is dropped.
    pub close_timeout: Duration,
    /// A connection that was idle for this long is closed; one of `idle_min` is kept, and checked before it is lent.
    pub idle_max: Duration,
    /// A connection that is this old is closed; one that is lent is closed when it comes back.
    pub life_max: Duration,
    /// So much of `life_max` is taken off, evenly spread over connections, so that those made together do not go
    /// together. In percent; more than 100 is taken as that.
    pub life_jitter_percent: u8,
    /// A connection that was idle for this long is checked before it is lent. Zero checks every one.
    pub check_after_idle: Duration,
    /// After a failed connect the next one waits for this long, after each further one twice as long; between half of it
    /// and all of it, at random.
    pub backoff_min: Duration,
    /// The longest of these waits.
    pub backoff_max: Duration,
    /// With the feature `tracing`: a lease that is held for longer is logged with the line that took it.
    pub lease_warn_after: Duration,
    /// Where randomness starts; `None` is another start in each pool.
    pub seed: Option<u64>,
    /// The clock and the alarms.
    pub timer: &'static dyn Timer,
}

impl Default for Settings {
    /// 10 connections, none kept idle ahead of demand; 65,536 waiters; 30 s to wait, 10 s to connect, 5 s each to check, to
    /// reset and to close; 10 minutes idle, 30 minutes of life less up to a quarter, checked after 30 s idle; 100 ms to 2 s
    /// between failed connects; no warnings of long leases; a thread as timer.
    fn default() -> Self {
        Settings {
            connections_max: 10,
            idle_min: 0,
            waiters_max: 65_536,
            acquire_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            check_timeout: Duration::from_secs(5),
            reset_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
            idle_max: Duration::from_secs(10 * 60),
            life_max: Duration::from_secs(30 * 60),
            life_jitter_percent: 25,
            check_after_idle: Duration::from_secs(30),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(2),
            lease_warn_after: Duration::MAX,
            seed: None,
            timer: &ThreadTimer,
        }
    }
}
