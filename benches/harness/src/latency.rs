use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::{Figure, Second};

/// Slices of the timeline: a tenth of a second each, so that a sample of half a second has a shape too.
const SLICE: Duration = Duration::from_millis(100);
/// Operations from which on the 95th percentile is judged: of fewer, the fifty slowest are the machine's and not the
/// work's.
const JUDGED_LEAST: u64 = 1_000;
/// The slices that are kept; what comes later is in the percentiles and not in the timeline.
const SLICES_MAX: usize = 6_000;

/// Latencies, each from the moment at which the operation was *meant* to start, so that waiting for a slow
/// predecessor counts (no coordinated omission). Nanoseconds to three digits, in an HDR histogram.
#[derive(Clone, Debug)]
pub struct Latency {
    began: Instant,
    all: Histogram<u64>,
    slices: Vec<Histogram<u64>>,
}

impl Latency {
    /// An empty one; `began` is the start of the measuring.
    ///
    /// # Panics
    /// Never: three digits are within what a histogram can keep.
    #[must_use]
    pub fn since(began: Instant) -> Self {
        Latency { began, all: histogram(), slices: Vec::new() }
    }

    /// Counts an operation that was meant to start at `intended` and ended at `ended`.
    pub fn record(&mut self, intended: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(intended);
        self.record_duration(took);
        let slice = intended.saturating_duration_since(self.began).as_nanos() / SLICE.as_nanos();
        let slice = usize::try_from(slice).unwrap_or(usize::MAX);
        if slice < SLICES_MAX {
            if self.slices.len() <= slice {
                self.slices.resize_with(slice + 1, histogram);
            }
            self.slices[slice].saturating_record(nanoseconds(took));
        }
    }

    /// Counts a duration that has no place in time.
    pub fn record_duration(&mut self, took: Duration) {
        self.all.saturating_record(nanoseconds(took));
    }

    /// Takes in what another one counted, from the same beginning.
    pub fn merge(&mut self, other: &Latency) {
        // Both histograms have the same shape, so adding can't fail.
        let _ = self.all.add(&other.all);
        if self.slices.len() < other.slices.len() {
            self.slices.resize_with(other.slices.len(), histogram);
        }
        for (mine, theirs) in self.slices.iter_mut().zip(&other.slices) {
            let _ = mine.add(theirs);
        }
    }

    /// Operations counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.all.len()
    }

    /// The value below which this percentage lies, in microseconds.
    #[must_use]
    pub fn percentile_us(&self, percent: f64) -> f64 {
        self.all.value_at_percentile(percent) as f64 / 1e3
    }

    /// p50 (judged), p95 (judged from 1,000 operations on), p99, p99.9 and max (told).
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let at = |name: &str, percent| Figure::latency_us(name, self.percentile_us(percent));
        let p95 = at("p95", 95.0);
        vec![
            at("p50", 50.0),
            if self.count() >= JUDGED_LEAST { p95 } else { p95.only_told() },
            at("p99", 99.0).only_told(),
            at("p99.9", 99.9).only_told(),
            at("max", 100.0).only_told(),
        ]
    }

    /// The slices of time that hold operations.
    pub fn timeline(&self) -> impl Iterator<Item = Second> + '_ {
        self.slices.iter().enumerate().filter(|(_, slice)| !slice.is_empty()).map(|(index, slice)| Second {
            at_s: index as f64 * SLICE.as_secs_f64(),
            operations: slice.len(),
            p50_us: slice.value_at_quantile(0.5) as f64 / 1e3,
            p99_us: slice.value_at_quantile(0.99) as f64 / 1e3,
        })
    }
}

fn histogram() -> Histogram<u64> {
    // One nanosecond to ten minutes; beyond that a latency counts as ten minutes.
    #[allow(clippy::expect_used)]
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("invariant: the bounds are right")
}

fn nanoseconds(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_start_counts() {
        let began = Instant::now();
        let mut latency = Latency::since(began);
        let ms = Duration::from_millis;
        // The first took 50 ms; the second was meant to start at 10 ms, could only at 50, and took 1.
        latency.record(began, began + ms(50));
        latency.record(began + ms(10), began + ms(51));
        assert_eq!(latency.count(), 2);
        assert!((latency.percentile_us(50.0) - 41_000.0).abs() < 50.0, "{}", latency.percentile_us(50.0));
        assert!((latency.percentile_us(100.0) - 50_000.0).abs() < 60.0);
        assert_eq!(latency.timeline().count(), 1);
    }

    #[test]
    fn merging_adds() {
        let began = Instant::now();
        let (mut one, mut two) = (Latency::since(began), Latency::since(began));
        one.record(began, began + Duration::from_micros(5));
        two.record(began + Duration::from_secs(1), began + Duration::from_secs(2));
        one.merge(&two);
        assert_eq!(one.count(), 2);
        assert_eq!(one.timeline().map(|second| second.operations).collect::<Vec<_>>(), [1, 1]);
    }
}
