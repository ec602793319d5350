use std::future::Future;
use std::time::Instant;

/// The caller's clock, for [`Taker::take`](crate::Taker::take): this crate reads no clock and owns no timer in async code.
///
/// With tokio:
/// ```
/// use std::time::Instant;
///
/// struct TokioClock;
///
/// impl standpipe_buffer::Clock for TokioClock {
///     type Sleep = tokio::time::Sleep;
///
///     fn now(&self) -> Instant {
///         tokio::time::Instant::now().into_std()
///     }
///
///     fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
///         tokio::time::sleep_until(deadline.into())
///     }
/// }
/// ```
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
