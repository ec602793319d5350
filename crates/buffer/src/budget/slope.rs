use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::drain::Drain;
use super::sync::{AcqRel, Acquire, AtomicU64, Mutex, Relaxed};

/// No delay is longer.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(1);
/// The delay at the hard limit while the drain rate is not known; proportionally less below.
pub(super) const DELAY_UNKNOWN: Duration = Duration::from_millis(5);
/// Less than this is not slept, but put on the next ones' account: timers are no finer.
const GRAIN: Duration = Duration::from_millis(1);
/// What is admitted just above soft is so many times what drains, and just below hard that part of it.
const STEEPNESS: f64 = 4.0;

/// How long those who come above soft are held back.
#[derive(Default)]
pub(super) struct Slope {
    /// Bytes that came back while the budget was measured.
    drained: AtomicU64,
    /// How often measuring ended.
    pauses: AtomicU64,
    clock: Mutex<Clock>,
}

impl Slope {
    pub(super) fn drains(&self, bytes: u64) {
        self.drained.fetch_add(bytes, Relaxed);
    }

    pub(super) fn pauses(&self) {
        self.pauses.fetch_add(1, AcqRel);
    }

    /// A place for `bytes` on the virtual clock. `fill`: from 0 at soft to 1 at hard.
    pub(super) fn place(&self, bytes: u64, fill: f64, now: Instant) -> Duration {
        let (drained, pauses) = (self.drained.load(Relaxed), self.pauses.load(Acquire));
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        if clock.pauses != pauses {
            clock.pauses = pauses;
            clock.drain.begin();
        }
        clock.drain.observe(drained, now);
        clock.place(bytes, fill, now)
    }

    /// Bytes a second that come back, as last measured.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).drain.rate(now)
    }
}

/// A clock that runs ahead with every byte that is let in, at the rate at which bytes should be let in.
#[derive(Default)]
struct Clock {
    drain: Drain,
    pauses: u64,
    /// Where the next place begins.
    next: Option<Instant>,
    /// Until when somebody sleeps.
    asleep: Option<Instant>,
}

impl Clock {
    #[expect(clippy::cast_precision_loss, reason = "a pace")]
    fn place(&mut self, bytes: u64, fill: f64, now: Instant) -> Duration {
        let Some(rate) = self.drain.rate(now) else {
            return DELAY_UNKNOWN.mul_f64(fill).max(GRAIN);
        };
        let admitted = rate * STEEPNESS.powf(1.0 - 2.0 * fill);
        let takes_s = (bytes as f64 / admitted).min(DELAY_MAX.as_secs_f64());
        // Who slept longer than told, as timers do, need not pay for it with the next place.
        let earliest = now.checked_sub(GRAIN).unwrap_or(now);
        let from = self.next.map_or(now, |next| next.max(earliest));
        let place = (from + Duration::from_secs_f64(takes_s)).min(now + DELAY_MAX);
        self.next = Some(place);
        let delay = place.saturating_duration_since(now);
        if delay < GRAIN && self.asleep.is_none_or(|until| until <= now) {
            return Duration::ZERO;
        }
        self.asleep = Some(place);
        delay
    }
}
