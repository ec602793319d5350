use std::time::Instant;

use crate::Settings;

/// A connection and its dates.
pub(crate) struct Pooled<T> {
    pub(crate) connection: T,
    pub(crate) born: Instant,
    /// When it last came back from a lease. A check that was not finished does not move it,
    /// so the next acquirer checks again.
    pub(crate) idle_since: Instant,
}

impl<T> Pooled<T> {
    pub(crate) fn new(connection: T, now: Instant) -> Self {
        Pooled { connection, born: now, idle_since: now }
    }

    pub(crate) fn is_past_life(&self, settings: &Settings, now: Instant) -> bool {
        now.saturating_duration_since(self.born) >= settings.life_max
    }

    pub(crate) fn is_expired(&self, settings: &Settings, now: Instant) -> bool {
        self.is_past_life(settings, now)
            || now.saturating_duration_since(self.idle_since) >= settings.idle_max
    }

    pub(crate) fn is_check_due(&self, settings: &Settings, now: Instant) -> bool {
        now.saturating_duration_since(self.idle_since) >= settings.check_after_idle
    }
}
