use std::time::{Duration, Instant};

/// The limits of a [`Pool`](crate::Pool).
///
/// The durations are looked at when a connection is borrowed or comes back, and in
/// [`Pool::sweep`](crate::Pool::sweep); the pool has no timer of its own. [`Duration::MAX`] means never.
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
    /// The most connections at any time: lent, idle and being made. 0 is taken as 1.
    pub connections_max: usize,
    /// The most acquirers that may wait; one more is refused with [`Retry`](standpipe_core::ErrorKind::Retry).
    pub waiters_max: usize,
    /// A connection that was idle for this long is closed.
    pub idle_max: Duration,
    /// A connection that is this old is closed; one that is lent is closed when it comes back.
    pub life_max: Duration,
    /// A connection that was idle for this long is checked before it is lent. Zero checks every one.
    pub check_after_idle: Duration,
    /// What time it is. Called outside the pool's lock.
    pub clock: fn() -> Instant,
}

impl Default for Settings {
    /// 10 connections, 65,536 waiters, 10 minutes idle, 30 minutes of life, checked after 30 seconds idle.
    fn default() -> Self {
        Settings {
            connections_max: 10,
            waiters_max: 65_536,
            idle_max: Duration::from_secs(10 * 60),
            life_max: Duration::from_secs(30 * 60),
            check_after_idle: Duration::from_secs(30),
            clock: Instant::now,
        }
    }
}
