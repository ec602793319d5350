use std::time::{Duration, Instant};

/// How much of the past counts: four observations, within these.
const OBSERVATIONS: f64 = 4.0;
const MEMORY_MIN: f64 = 0.2;
const MEMORY_MAX: f64 = 2.0;
/// Observations closer than this are one.
const GRAIN: Duration = Duration::from_millis(1);

/// How fast bytes come free, learnt from a count that is looked at now and then.
///
/// An average over the last few flushes, weighted by time. A span ends when bytes have come free and not before, so
/// lumps at a steady pace give a steady rate, whenever between two of them one asks.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// Sums that fade: bytes, the seconds they took, and in how many observations.
    bytes: f64,
    seconds: f64,
    observations: f64,
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Begins,
    /// Waits for the first bytes, which say when to begin but not how long they took.
    Waits(u64),
    Measures {
        since: Instant,
        counted: u64,
    },
}

impl Drain {
    /// Time has passed that was not measured. What was learnt before it stays, until there is better.
    pub(super) fn begin(&mut self) {
        self.stage = Stage::Begins;
    }

    /// So many bytes have come free in all by `now`.
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    pub(super) fn observe(&mut self, drained: u64, now: Instant) {
        match self.stage {
            Stage::Begins => self.stage = Stage::Waits(drained),
            Stage::Waits(before) if drained != before => {
                self.stage = Stage::Measures { since: now, counted: drained };
            }
            Stage::Measures { since, counted } if drained != counted => {
                let span = now.saturating_duration_since(since);
                if span < GRAIN {
                    return;
                }
                let kept = (-span.as_secs_f64() / self.memory_s()).exp();
                self.bytes = self.bytes * kept + drained.wrapping_sub(counted) as f64;
                self.seconds = self.seconds * kept + span.as_secs_f64();
                self.observations = self.observations * kept + 1.0;
                self.stage = Stage::Measures { since: now, counted: drained };
            }
            Stage::Waits(_) | Stage::Measures { .. } => {}
        }
    }

    /// Bytes a second as of `now`, once two flushes were seen. It falls while the next flush is overdue.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        if self.observations == 0.0 {
            return None;
        }
        let measured = self.bytes / self.seconds;
        let Stage::Measures { since, .. } = self.stage else { return Some(measured) };
        let pending_s = now.saturating_duration_since(since).as_secs_f64();
        let next = self.bytes / self.observations;
        Some(measured.min((self.bytes + next) / (self.seconds + pending_s)))
    }

    fn memory_s(&self) -> f64 {
        if self.observations == 0.0 {
            return MEMORY_MAX;
        }
        (OBSERVATIONS * self.seconds / self.observations).clamp(MEMORY_MIN, MEMORY_MAX)
    }
}
