//! The runtime's clock, so that a test can pause it.

use std::time::{Duration, Instant};

/// The time by the runtime's clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How long ago that was, by the runtime's clock.
pub(crate) fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}
