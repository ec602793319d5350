use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use standpipe::{
    core::DeadLetter,
    sink::{Applied, Events},
};

/// How many dead letters a summary shows.
pub(crate) const REASONS_SHOWN: usize = 5;

/// Counts what a load does, for progress and summary.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) read_rows: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) acknowledged_rows: AtomicU64,
    pub(crate) applied_rows: AtomicU64,
    pub(crate) dead_lettered_rows: AtomicU64,
    pub(crate) batches: AtomicU64,
    told: Mutex<Told>,
}

/// What is more than a number.
#[derive(Default)]
pub(crate) struct Told {
    /// The first dead letters, by where they stand: a batch that is tried again tells them again.
    pub(crate) reasons: BTreeMap<(String, u32, u64, u32), String>,
    /// Why the target cannot take rows now.
    pub(crate) stalled: Option<String>,
    pub(crate) acknowledge_us: Latency,
    pub(crate) apply_us: Latency,
}

/// A histogram that is made when the first value comes.
#[derive(Default)]
pub(crate) struct Latency(Option<Histogram<u64>>);

impl Latency {
    fn record(&mut self, took: Duration) {
        // Three digits up to an hour; longer counts as an hour.
        if self.0.is_none() {
            self.0 = Histogram::new_with_bounds(1, 3_600_000_000, 3).ok();
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// The value that this share of all values does not pass.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        self.0.as_ref().map(|histogram| Duration::from_micros(histogram.value_at_quantile(share)))
    }
}

impl Watch {
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self, rows: u64, bytes: u64) {
        self.read_rows.fetch_add(rows, Relaxed);
        self.read_bytes.fetch_add(bytes, Relaxed);
    }
}

impl Events for Watch {
    fn acknowledged(&self, rows: u64, took: Duration) {
        self.acknowledged_rows.fetch_add(rows, Relaxed);
        self.told().acknowledge_us.record(took);
    }

    fn applied(&self, applied: &Applied<'_>) {
        self.applied_rows.fetch_add(applied.rows, Relaxed);
        self.dead_lettered_rows.fetch_add(applied.dead_lettered, Relaxed);
        self.batches.fetch_add(1, Relaxed);
        let mut told = self.told();
        told.stalled = None;
        if applied.rows + applied.dead_lettered > 0 {
            told.apply_us.record(applied.waited);
        }
    }

    fn dead_lettered(&self, letters: &[DeadLetter]) {
        let mut told = self.told();
        for letter in letters.iter().take(REASONS_SHOWN) {
            let place = (letter.lane.to_string(), letter.lane.lane, letter.position, letter.ordinal);
            if told.reasons.len() < REASONS_SHOWN || told.reasons.contains_key(&place) {
                told.reasons.insert(place, crate::dead_letters::line(letter));
            }
        }
    }

    fn stalled(&self, reason: &str, _pause: Duration) {
        self.told().stalled = Some(reason.to_owned());
    }
}
