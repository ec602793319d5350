//! A time in one word, so that an item that waits keeps 8 bytes of it.

use std::time::{Duration, Instant};

/// The word of the moment at which the count begins. Times before it are below, and 0 is no time at all.
const BEGAN: u64 = 1 << 62;

/// The word of `at`, counted from `began` in nanoseconds; as near as it gets beyond 146 years.
pub(crate) fn word(began: Instant, at: Instant) -> u64 {
    let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).min(BEGAN - 1);
    match at.checked_duration_since(began) {
        Some(since) => BEGAN + nanos(since),
        None => BEGAN - nanos(began.saturating_duration_since(at)),
    }
}

/// The time of a word that is not 0.
pub(crate) fn instant(began: Instant, word: u64) -> Instant {
    match word.checked_sub(BEGAN) {
        Some(since) => began + Duration::from_nanos(since),
        None => began - Duration::from_nanos(BEGAN - word),
    }
}
