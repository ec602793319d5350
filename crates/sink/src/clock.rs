use std::time::{Duration, Instant};

use standpipe_buffer::Clock;

/// The runtime's clock, so that a test can pause it.
pub(crate) struct TokioClock;

impl Clock for TokioClock {
    type Sleep = tokio::time::Sleep;

    fn now(&self) -> Instant {
        now()
    }

    fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
        tokio::time::sleep_until(deadline.into())
    }
}

/// The time by the runtime's clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How long ago that was, by the runtime's clock.
pub(crate) fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}
