use std::time::Duration;

use standpipe_core::Connect;

use crate::shared::Shared;

/// How many of what a [`Pool`](crate::Pool) holds, counted at one instant, and what happened since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The most connections at present.
    pub connections_max: usize,
    /// Places taken: `idle + in_use + connecting + resetting + closing`. Never more than `connections_max`, but after that
    /// was made smaller.
    pub size: usize,
    /// Connections that wait to be borrowed.
    pub idle: usize,
    /// Connections held by leases, and by acquirers that check them or were just served.
    pub in_use: usize,
    /// Connects under way, pauses between failed ones included.
    pub connecting: usize,
    /// Connections that came back and are being reset.
    pub resetting: usize,
    /// Connections that take leave of the other side.
    pub closing: usize,
    /// Acquirers in the queue.
    pub waiting: usize,
    /// For how long the one at its head has waited; zero if `acquire_timeout` is never, which needs no clock.
    pub oldest_wait: Duration,
    /// For how long the coldest idle connection has been idle.
    pub oldest_idle: Duration,
    /// How old the oldest idle connection is; like the one before, zero when no limit of age is set.
    pub oldest_connection: Duration,
    /// Connects that ended, so far.
    pub dials: u64,
    /// Those of them that failed.
    pub dials_failed: u64,
    /// Acquirers that had to queue, so far.
    pub waits: u64,
    /// Those of them that were told that their time is up.
    pub timeouts: u64,
    /// Connections that were reset on return, so far.
    pub resets: u64,
}

impl Status {
    /// The share of `connections_max` that is in use, from 0 to 1.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.in_use as f64 / self.connections_max.max(1) as f64
    }
}

impl<C: Connect> Shared<C> {
    pub(crate) fn status(&self) -> Status {
        let now = self.exact();
        self.with(|desk, _| {
            let (resetting, closing) = (desk.resetting, desk.closing);
            let (idle, connecting) = (self.rack.count(), desk.dial.under_way);
            let coldest = self.rack.standing().map(|(_, dates)| dates.since).min();
            let oldest = self.rack.standing().map(|(_, dates)| dates.born).min();
            let age = |since: u64| Duration::from_nanos(now.saturating_sub(since));
            Status {
                connections_max: desk.limit,
                size: desk.size,
                idle,
                in_use: desk.size.saturating_sub(idle + connecting + resetting + closing),
                connecting,
                resetting,
                closing,
                waiting: desk.queue.waiting(),
                oldest_wait: desk.queue.first_since().filter(|since| *since > 0).map(age).unwrap_or_default(),
                oldest_idle: if self.is_dated {
                    coldest.map(age).unwrap_or_default()
                } else {
                    Duration::ZERO
                },
                oldest_connection: if self.is_dated {
                    oldest.map(age).unwrap_or_default()
                } else {
                    Duration::ZERO
                },
                dials: desk.counts.dials,
                dials_failed: desk.counts.dials_failed,
                waits: desk.counts.waits,
                timeouts: desk.counts.timeouts,
                resets: desk.counts.resets,
            }
        })
    }
}
