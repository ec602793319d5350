use std::future::Future;
use std::time::Instant;

/// The caller's clock, for [`Taker::take`](crate::Taker::take): this crate reads no clock and owns no timer in async code.
/// Under tokio that is [`TokioClock`] (feature `tokio`).
pub trait Clock {
    /// What [`sleep_until`](Self::sleep_until) returns.
    type Sleep: Future<Output = ()>;

    /// The time now, from the same source as the instants given to [`Lanes::push`](crate::Lanes::push).
    ///
    /// Must not panic: an item whose push reads the clock might stay where it is until the next push.
    fn now(&self) -> Instant;

    /// A future that resolves when [`now`](Self::now) has reached `deadline`.
    fn sleep_until(&self, deadline: Instant) -> Self::Sleep;
}

/// The clock of the tokio runtime that is running, paused or not.
#[cfg(feature = "tokio")]
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioClock;

#[cfg(feature = "tokio")]
impl Clock for TokioClock {
    type Sleep = tokio::time::Sleep;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
        tokio::time::sleep_until(deadline.into())
    }
}
