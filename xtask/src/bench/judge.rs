//! Whether a change of a figure is a regression, no regression, or not to be told yet.
//!
//! A *regression* is a median beyond the limit **and** a 95% interval whose near end is beyond half the limit. When
//! the interval says nothing that narrow, it is *noisy*: more rounds are wanted. The interval of the median is a
//! percentile bootstrap (Efron 1979), seeded, so that the same values always get the same verdict.

use standpipe_harness::{Better, Kind};

/// How much worse a figure may get, in percent.
#[derive(Clone, Copy, Debug, PartialEq, clap::Args)]
pub(crate) struct Limits {
    /// The most throughput that may be lost, in percent
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT", value_parser = share)]
    pub(crate) throughput_drop: f64,
    /// The most that latency may rise, in percent
    #[arg(long, default_value_t = 15.0, value_name = "PERCENT", value_parser = percent)]
    pub(crate) latency_rise: f64,
    /// The most that memory, and allocations, may rise, in percent
    #[arg(long, default_value_t = 20.0, value_name = "PERCENT", value_parser = percent)]
    pub(crate) memory_rise: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { throughput_drop: 10.0, latency_rise: 15.0, memory_rise: 20.0 }
    }
}

impl Limits {
    /// The limit for a kind of figure, as a share; `None` for what is only told.
    pub(crate) fn of(&self, kind: Kind) -> Option<f64> {
        match kind {
            Kind::Throughput => Some(self.throughput_drop / 100.0),
            Kind::Latency => Some(self.latency_rise / 100.0),
            Kind::Memory => Some(self.memory_rise / 100.0),
            Kind::Told => None,
        }
    }
}

/// A number of percent that can be lost: less than all.
fn share(text: &str) -> Result<f64, String> {
    percent(text)
        .ok()
        .filter(|value| *value < 100.0)
        .ok_or_else(|| "more than 0 and less than 100 percent".to_owned())
}

/// A number of percent that a limit can be.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim_end_matches('%').parse().map_err(|_| "a number of percent".to_owned())?;
    if value.is_finite() && value > 0.0 && value < 1000.0 {
        Ok(value)
    } else {
        Err("more than 0 and less than 1000 percent".to_owned())
    }
}

/// How much worse a figure became: a share of what it was, positive for worse. For throughput the share that was
/// lost, for the others the share that was added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) median: f64,
    /// The 95% interval of the median.
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The 99% interval: whoever stops as soon as an interval suits, and looks often, needs the wider one.
    pub(crate) low_wide: f64,
    pub(crate) high_wide: f64,
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Within the limit, and measured well enough to say so.
    Fine,
    /// Too noisy to say.
    Noisy,
    /// Beyond the limit.
    Regression,
}

/// Values below which no interval is believed.
pub(crate) const VALUES_LEAST: usize = 5;

impl Change {
    /// Of pairs that were measured side by side: the median of their ratios.
    pub(crate) fn paired(base: &[f64], new: &[f64], better: Better) -> Self {
        let mut ratios: Vec<f64> = base.iter().zip(new).map(|(base, new)| ratio(*base, *new)).collect();
        if ratios.is_empty() {
            return Change::UNKNOWN;
        }
        ratios.sort_by(f64::total_cmp);
        let mut random = Random(SEED);
        let medians = (0..RESAMPLES).map(|_| random.median_resampled(&ratios)).collect();
        Change::between(median_sorted(&ratios), medians, better)
    }

    /// Of two runs that have no pairs: the ratio of their medians.
    pub(crate) fn unpaired(base: &[f64], new: &[f64], better: Better) -> Self {
        if base.is_empty() || new.is_empty() {
            return Change::UNKNOWN;
        }
        let (mut base, mut new) = (base.to_vec(), new.to_vec());
        base.sort_by(f64::total_cmp);
        new.sort_by(f64::total_cmp);
        let mut random = Random(SEED);
        let medians = (0..RESAMPLES)
            .map(|_| ratio(random.median_resampled(&base), random.median_resampled(&new)))
            .collect();
        Change::between(ratio(median_sorted(&base), median_sorted(&new)), medians, better)
    }

    /// Nothing was measured: noisy against any limit.
    const UNKNOWN: Change = Change {
        median: 0.0,
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
        low_wide: f64::NEG_INFINITY,
        high_wide: f64::INFINITY,
    };

    fn between(middle: f64, mut medians: Vec<f64>, better: Better) -> Self {
        medians.sort_by(f64::total_cmp);
        let at = |share: f64| medians[((medians.len() - 1) as f64 * share).round() as usize];
        let ends = [at(0.005), at(0.025), at(0.975), at(0.995)];
        let [low_wide, low, high, high_wide] = match better {
            Better::Lower => ends.map(|ratio| ratio - 1.0),
            // More is better: the end with the least ratio is the worst.
            Better::Higher => [ends[3], ends[2], ends[1], ends[0]].map(|ratio| 1.0 - ratio),
        };
        let median = if better == Better::Lower { middle - 1.0 } else { 1.0 - middle };
        Change { median, low, high, low_wide, high_wide }
    }

    /// Held against a limit.
    pub(crate) fn judge(&self, limit: f64) -> Verdict {
        if self.median > limit && self.low > limit / 2.0 {
            Verdict::Regression
        } else if self.high < limit || (self.median <= limit && self.is_narrow(limit)) {
            Verdict::Fine
        } else {
            Verdict::Noisy
        }
    }

    /// Whether more values could still change the verdict: the interval holds the limit, or is too wide.
    pub(crate) fn is_open(&self, limit: f64) -> bool {
        (self.low_wide < limit && self.high_wide > limit) || self.judge(limit) == Verdict::Noisy
    }

    /// Within half a limit to the side that matters, a change at the limit is told from one at half of it.
    fn is_narrow(&self, limit: f64) -> bool {
        self.high - self.median <= limit / 2.0 && self.median - self.low <= limit / 2.0
    }
}

/// Seeds the resampling: the same values get the same verdict.
const SEED: u64 = 0x5eed_0f57_a9d1_19e1;
const RESAMPLES: usize = 2_000;

/// Nothing where something was, or something where nothing was, is as much worse as can be said.
fn ratio(base: f64, new: f64) -> f64 {
    match (base == 0.0, new == 0.0) {
        (true, true) => 1.0,
        (true, false) => 1e6,
        _ => new / base,
    }
}

/// The middle value, of an even number the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median_sorted(&sorted)
}

fn median_sorted(values: &[f64]) -> f64 {
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// The median of as many values drawn with replacement; `sorted` is sorted and not empty. Draws are counted and
    /// not sorted: this runs thousands of times for each figure and look, in a build that is not optimised.
    fn median_resampled(&mut self, sorted: &[f64]) -> f64 {
        let count = sorted.len();
        let mut drawn = vec![0_usize; count];
        for _ in 0..count {
            drawn[(self.next() % count as u64) as usize] += 1;
        }
        // The values at these places of the resample, were it sorted, are its middle.
        let (lower, upper) = ((count - 1) / 2, count / 2);
        let (mut passed, mut low) = (0, sorted[0]);
        for (value, times) in sorted.iter().zip(drawn) {
            if passed <= lower {
                low = *value;
            }
            passed += times;
            if passed > upper {
                return f64::midpoint(low, *value);
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: f64 = 0.10;

    fn change(median: f64, low: f64, high: f64) -> Change {
        Change { median, low, high, low_wide: low, high_wide: high }
    }

    #[test]
    fn the_rule() {
        // Beyond the limit, and the near end beyond half of it.
        assert_eq!(change(0.12, 0.06, 0.30).judge(LIMIT), Verdict::Regression);
        // Beyond the limit, but the interval reaches below half of it.
        assert_eq!(change(0.12, 0.04, 0.20).judge(LIMIT), Verdict::Noisy);
        // A small change, well measured; at the limit's edge, well measured.
        assert_eq!(change(0.05, 0.03, 0.07).judge(LIMIT), Verdict::Fine);
        assert_eq!(change(0.09, 0.07, 0.12).judge(LIMIT), Verdict::Fine);
        // No change, but so noisy that a regression would hide in it.
        assert_eq!(change(0.0, -0.2, 0.2).judge(LIMIT), Verdict::Noisy);
        // Much better, however noisy.
        assert_eq!(change(-0.4, -0.8, -0.1).judge(LIMIT), Verdict::Fine);
    }

    #[test]
    fn what_straddles_the_limit_is_open() {
        assert!(change(0.09, 0.07, 0.12).is_open(LIMIT));
        assert!(!change(0.05, 0.03, 0.07).is_open(LIMIT));
        assert!(!change(0.15, 0.12, 0.2).is_open(LIMIT));
    }

    #[test]
    fn worse_is_positive_whichever_way_is_better() {
        let (base, new) = ([100.0; 9], [80.0; 9]);
        let lost = Change::paired(&base, &new, Better::Higher);
        assert!((lost.median - 0.2).abs() < 1e-9, "{lost:?}");
        let faster = Change::paired(&base, &new, Better::Lower);
        assert!((faster.median + 0.2).abs() < 1e-9, "{faster:?}");
        assert_eq!(Change::unpaired(&base, &new, Better::Higher).judge(LIMIT), Verdict::Regression);
        assert_eq!(Change::unpaired(&new, &base, Better::Higher).judge(LIMIT), Verdict::Fine);
    }

    #[test]
    fn pairs_cancel_what_both_sides_share() {
        // The machine is twice as slow in every other pair; the new build loses 20% in each.
        let base: Vec<f64> = (0..12).map(|pair| if pair % 2 == 0 { 100.0 } else { 50.0 }).collect();
        let new: Vec<f64> = base.iter().map(|value| value * 0.8).collect();
        let paired = Change::paired(&base, &new, Better::Higher);
        assert_eq!(paired.judge(LIMIT), Verdict::Regression);
        assert!(paired.high - paired.low < 1e-9);
    }

    #[test]
    fn one_wild_value_decides_nothing() {
        let base = [100.0; 9];
        let mut new = [100.0; 9];
        new[4] = 10.0;
        assert_eq!(Change::paired(&base, &new, Better::Higher).judge(LIMIT), Verdict::Fine);
    }

    #[test]
    fn a_resampled_median_is_the_median_of_what_was_drawn() {
        for count in 1..12_u64 {
            let values: Vec<f64> = (0..count).map(|value| (value * value) as f64).collect();
            let (mut drawing, mut judging) = (Random(count), Random(count));
            for _ in 0..200 {
                let drawn: Vec<f64> = (0..count).map(|_| values[(drawing.next() % count) as usize]).collect();
                assert_eq!(judging.median_resampled(&values).to_bits(), median(&drawn).to_bits());
            }
        }
    }

    #[test]
    fn nothing_measured_is_nothing_said() {
        assert_eq!(Change::paired(&[], &[], Better::Lower).judge(LIMIT), Verdict::Noisy);
        assert_eq!(Change::unpaired(&[1.0], &[], Better::Higher).judge(LIMIT), Verdict::Noisy);
    }

    #[test]
    fn nothing_to_something_is_worse() {
        assert_eq!(Change::paired(&[0.0; 6], &[1.0; 6], Better::Lower).judge(LIMIT), Verdict::Regression);
        assert_eq!(Change::paired(&[0.0; 6], &[0.0; 6], Better::Lower).judge(LIMIT), Verdict::Fine);
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        // 400 experiments with a known median change of 8% and noise of 10%: the 95% interval may miss some, not many.
        let mut random = Random(7);
        let mut noise = || 0.9 + 0.2 * (random.next() % 1_000_000) as f64 / 1e6;
        let mut held = 0;
        for _ in 0..400 {
            let base = [100.0; 15];
            let new: Vec<f64> = base.iter().map(|value| value * 1.08 * noise()).collect();
            let change = Change::paired(&base, &new, Better::Lower);
            held += usize::from(change.low <= 0.08 && 0.08 <= change.high);
        }
        assert!(held >= 360, "{held} of 400");
    }
}
