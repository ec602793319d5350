//! Two sides held against each other: every figure of every workload, its change, and what that means.
//!
//! `compare` and `ab` both end here. Each has two records' results, of the same workloads:
//!
//! ```ignore
//! let pairing = Pairing::Paired { sure: 20 }; // value i of both sides was measured side by side (`ab`)
//! loop {
//!     let verdicts = Verdicts::of(&base.results, &new.results, &limits, pairing);
//!     let open = verdicts.open();             // workloads for which more rounds could still change the verdict
//!     if open.is_empty() || rounds == rounds_max { break }
//!     // ... more rounds of these only: they may have more values than the others
//! }
//! println!("{}", verdicts.table(false).shown());   // `table(..).markdown()` for a file
//! println!("{}", verdicts.told());                 // the lines below the table, and the closing sentence last
//! Ok(verdicts.ending())
//! ```
//!
//! Paired sides must have as many values each, in the order of the pairs: when a sample of one side errs, leave out
//! the other one's too. What only one side has, or has in another revision, is in `apart` and is not judged.

use std::collections::BTreeSet;

use standpipe_harness::Better;

use super::{
    Ending,
    judge::{Change, Limits, VALUES_LEAST, Verdict, median},
    record::{Measured, Series},
    table::{Cell, Table, Tone},
    units,
};

/// How the values of two sides belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// The values with the same index were measured side by side. Below `sure` of them no regression is believed:
    /// among a few hundred figures some are beyond a limit by chance in the first pairs.
    Paired { sure: usize },
    /// They were measured at different times.
    Unpaired,
}

/// All that was judged, the worst first.
#[derive(Clone, Debug)]
pub(crate) struct Verdicts {
    pub(crate) judged: Vec<Judged>,
    /// Workloads and figures that can't be compared, each with its reason.
    pub(crate) apart: Vec<String>,
    limits: Limits,
}

/// One figure of one workload.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) workload: String,
    pub(crate) figure: String,
    pub(crate) unit: String,
    /// Medians.
    pub(crate) before: f64,
    pub(crate) now: f64,
    /// How much worse it became.
    pub(crate) change: Change,
    pub(crate) verdict: Verdict,
    /// The share that it may get worse.
    pub(crate) limit: f64,
    /// Values of the side that has fewer.
    pub(crate) values: usize,
    /// More values could change the verdict.
    pub(crate) is_open: bool,
    /// Whether a larger value is a worse one.
    larger_is_worse: bool,
}

impl Verdicts {
    /// Judges every figure that both sides have and that has a limit.
    pub(crate) fn of(base: &[Measured], new: &[Measured], limits: &Limits, pairing: Pairing) -> Self {
        let (mut judged, mut apart) = (Vec::new(), Vec::new());
        for before in base {
            let Some(now) = new.iter().find(|one| one.workload == before.workload) else {
                apart.push(format!("{}: only before", before.workload));
                continue;
            };
            if before.revision != now.revision {
                let (was, is) = (before.revision, now.revision);
                apart.push(format!("{}: measures something else now (revision {was} to {is})", now.workload));
                continue;
            }
            for series in &before.figures {
                match (now.series(&series.name), limits.of(series.kind)) {
                    (None, Some(_)) => apart.push(format!("{} {}: only before", now.workload, series.name)),
                    (None, None) => {}
                    // Judged where a sample holds enough operations: now it does, or no longer.
                    (Some(other), _) if other.kind != series.kind => {
                        apart.push(format!("{} {}: judged on one side only", now.workload, series.name));
                    }
                    (Some(other), Some(limit)) => match Judged::of(now, series, other, limit, pairing) {
                        Some(one) => judged.push(one),
                        None => apart.push(format!("{} {}: no values", now.workload, series.name)),
                    },
                    (Some(_), None) => {}
                }
            }
            let added = now.figures.iter().filter(|series| before.series(&series.name).is_none());
            let added = added.filter(|series| limits.of(series.kind).is_some());
            apart.extend(added.map(|series| format!("{} {}: only now", now.workload, series.name)));
        }
        let added = new.iter().filter(|now| !base.iter().any(|before| before.workload == now.workload));
        apart.extend(added.map(|now| format!("{}: only now", now.workload)));
        let worst_first = |one: &Judged, other: &Judged| {
            let share = |judged: &Judged| judged.change.median / judged.limit;
            other.verdict.cmp(&one.verdict).then_with(|| share(other).total_cmp(&share(one)))
        };
        judged.sort_by(worst_first);
        Verdicts { judged, apart, limits: *limits }
    }

    /// The workloads of which more values are wanted.
    pub(crate) fn open(&self) -> BTreeSet<String> {
        self.judged.iter().filter(|one| one.is_open).map(|one| one.workload.clone()).collect()
    }

    /// The worst first; of those that are fine only what changed by half a limit or more, unless `all`.
    pub(crate) fn table(&self, all: bool) -> Table {
        let head = ["workload", "figure", "before", "now", "change", "95% interval", "verdict"];
        let mut table = Table::new(head).right(2).right(3).right(4).right(5);
        for one in self.judged.iter().filter(|one| all || one.is_worth_a_line()) {
            table.row(one.row());
        }
        table
    }

    /// What stands below the table: what it leaves out, what was not compared, and one closing sentence.
    pub(crate) fn told(&self) -> String {
        let mut lines = Vec::new();
        let left_out = self.judged.iter().filter(|one| !one.is_worth_a_line()).count();
        if left_out > 0 {
            lines.push(format!("{} fine, changed by less than half of a limit.", figures(left_out)));
        }
        lines.extend(self.apart.iter().map(|text| format!("not compared: {text}")));
        lines.push(self.sentence());
        lines.join("\n")
    }

    /// One sentence that says it all.
    pub(crate) fn sentence(&self) -> String {
        let Limits { throughput_drop, latency_rise, memory_rise } = self.limits;
        let limits =
            format!("throughput -{throughput_drop}%, latency +{latency_rise}%, memory +{memory_rise}%");
        let named = |verdict| {
            let of_it: Vec<_> = self.judged.iter().filter(|one| one.verdict == verdict).collect();
            let mut names: Vec<_> = of_it.iter().map(|one| one.workload.as_str()).collect();
            names.dedup();
            let mut seen = BTreeSet::new();
            names.retain(|name| seen.insert(*name));
            (of_it.len(), names.join(", "))
        };
        match (self.ending(), named(Verdict::Regression), named(Verdict::Noisy)) {
            (Ending::Regression, (count, names), _) => {
                format!("REGRESSION: {} beyond the limits ({limits}): {names}.", figures(count))
            }
            (Ending::Noisy, _, _) if self.judged.is_empty() => {
                "INCONCLUSIVE: nothing was left to compare.".to_owned()
            }
            (Ending::Noisy, _, (count, names)) => {
                format!("INCONCLUSIVE: {} too noisy to say: {names}.", figures(count))
            }
            (Ending::Fine, ..) => {
                format!("FINE: {} compared, none beyond the limits ({limits}).", figures(self.judged.len()))
            }
        }
    }

    /// A regression decides, then noise. Nothing judged is nothing known.
    pub(crate) fn ending(&self) -> Ending {
        match self.judged.iter().map(|one| one.verdict).max() {
            Some(Verdict::Regression) => Ending::Regression,
            Some(Verdict::Noisy) | None => Ending::Noisy,
            Some(Verdict::Fine) => Ending::Fine,
        }
    }
}

impl Judged {
    fn of(workload: &Measured, before: &Series, now: &Series, limit: f64, pairing: Pairing) -> Option<Self> {
        let (base, new) = (&before.values, &now.values);
        let values = base.len().min(new.len());
        if values == 0 {
            return None;
        }
        let change = match pairing {
            Pairing::Paired { .. } => Change::paired(base, new, now.better),
            Pairing::Unpaired => Change::unpaired(base, new, now.better),
        };
        let is_enough = values >= VALUES_LEAST;
        // What was measured at another time can't be measured again: when that hour was too rough for the limit, no
        // number of rounds today makes it better, unless what happened is beyond all of it. Pairs share their hour.
        let spread = spread(base);
        let is_rough = pairing == Pairing::Unpaired && spread > limit && change.low <= spread;
        // What disturbs comes in stretches, and may meet one side more often for a while; a change of the code is there
        // all the time.
        let is_passing = match pairing {
            Pairing::Paired { sure } => values < sure || !holds_in_both_halves(base, new, now.better, limit),
            Pairing::Unpaired => false,
        };
        // By chance a few pairs make a regression look half as bad; twice as many seldom do.
        let is_early = match pairing {
            Pairing::Paired { sure } => values < sure && change.median > limit / 2.0,
            Pairing::Unpaired => false,
        };
        let verdict = match change.judge(limit) {
            Verdict::Regression if is_rough || is_passing => Verdict::Noisy,
            verdict => verdict,
        };
        Some(Judged {
            workload: workload.workload.clone(),
            figure: now.name.clone(),
            unit: now.unit.clone(),
            before: median(base),
            now: median(new),
            change,
            // Of a few values an interval says nothing.
            verdict: if is_enough { verdict } else { Verdict::Noisy },
            limit,
            values,
            is_open: !is_enough
                || is_early
                || ((change.is_open(limit) || verdict == Verdict::Noisy) && !is_rough),
            larger_is_worse: now.better == Better::Lower,
        })
    }

    fn is_worth_a_line(&self) -> bool {
        self.verdict != Verdict::Fine || self.change.median.abs() >= self.limit / 2.0
    }

    fn row(&self) -> Vec<Cell> {
        let Change { median, low, high, .. } = self.change;
        // As the figure itself moved: a loss of throughput has a minus, a rise of latency a plus.
        let (median_shown, ends) =
            if self.larger_is_worse { (median, [low, high]) } else { (-median, [-high, -low]) };
        let (said, tone) = match self.verdict {
            Verdict::Regression => ("REGRESSION".to_owned(), Tone::Bad),
            Verdict::Noisy => (format!("noisy, n={}", self.values), Tone::Warning),
            // As sure of it as of a regression.
            Verdict::Fine if median < -self.limit && high < -self.limit / 2.0 => {
                ("better".to_owned(), Tone::Good)
            }
            Verdict::Fine => ("fine".to_owned(), Tone::Plain),
        };
        let interval = ends.map(units::rough_percent).join(" .. ");
        vec![
            self.workload.clone().into(),
            self.figure.clone().into(),
            units::value(self.before, &self.unit).into(),
            units::value(self.now, &self.unit).into(),
            Cell::from(units::signed_percent(median_shown)).tone(tone),
            Cell::from(interval).tone(Tone::Faint),
            Cell::from(said).tone(tone),
        ]
    }
}

/// Whether the earlier and the later half of the pairs each say, by themselves, more than half of the limit.
fn holds_in_both_halves(base: &[f64], new: &[f64], better: Better, limit: f64) -> bool {
    let middle = base.len().min(new.len()) / 2;
    let median_of = |base: &[f64], new: &[f64]| Change::paired(base, new, better).median;
    middle == 0
        || (median_of(&base[..middle], &new[..middle]) > limit / 2.0
            && median_of(&base[middle..], &new[middle..]) > limit / 2.0)
}

/// What lies between the quarters of the values, as a share of their median.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    if sorted.is_empty() { 0.0 } else { (at(0.75) - at(0.25)) / median(&sorted).abs().max(f64::MIN_POSITIVE) }
}

fn figures(count: usize) -> String {
    units::times(count, "figure")
}

#[cfg(test)]
mod tests {
    use standpipe_harness::{Driver, Figure, Listed, Sample};

    use super::*;

    const LIMITS: Limits = Limits { throughput_drop: 10.0, latency_rise: 15.0, memory_rise: 20.0 };

    fn measured(name: &str, revision: u32, values: &[f64]) -> Measured {
        let listed = Listed {
            name: name.to_owned(),
            group: "log".to_owned(),
            measures: String::new(),
            quick: true,
            revision,
            driver: Driver::Scenario,
        };
        let mut measured = Measured::of(&listed);
        for value in values {
            measured.add(Sample::of([
                Figure::throughput(*value, 1.0, "rows/s"),
                Figure::latency_us("p99", 1e6 / value).only_told(),
            ]));
        }
        measured
    }

    fn verdicts(base: &[Measured], new: &[Measured]) -> Verdicts {
        Verdicts::of(base, new, &LIMITS, Pairing::Paired { sure: 5 })
    }

    #[test]
    fn the_worst_stands_first_and_decides() {
        let steady = [100.0, 101.0, 99.0, 100.0, 100.5];
        let slower: Vec<_> = steady.iter().map(|value| value * 0.8).collect();
        let base = [measured("log.a", 1, &steady), measured("log.b", 1, &steady)];
        let new = [measured("log.a", 1, &steady), measured("log.b", 1, &slower)];
        let verdicts = verdicts(&base, &new);
        assert_eq!(verdicts.judged.len(), 2, "what is only told is not judged");
        assert_eq!(verdicts.judged[0].workload, "log.b");
        assert_eq!(verdicts.ending(), Ending::Regression);
        assert!(verdicts.sentence().starts_with("REGRESSION: 1 figure beyond"), "{}", verdicts.sentence());
        assert!(verdicts.sentence().ends_with(": log.b."), "{}", verdicts.sentence());
        let text = verdicts.table(false).markdown();
        assert!(text.contains("log.b") && text.contains("-20.0%") && !text.contains("log.a"), "{text}");
        assert!(verdicts.table(true).markdown().contains("log.a"));
        assert!(verdicts.told().starts_with("1 figure fine"), "{}", verdicts.told());
    }

    #[test]
    fn what_passes_is_not_blamed() {
        // Ten pairs in which one side had the bad luck, then eight in which none had.
        let base = [measured("log.a", 1, &[100.0; 18])];
        let unlucky: Vec<_> = (0..18).map(|pair| if pair < 10 { 80.0 } else { 100.0 }).collect();
        let passing = verdicts(&base, &[measured("log.a", 1, &unlucky)]);
        assert_eq!(passing.ending(), Ending::Noisy);
        assert_eq!(passing.open().len(), 1, "more pairs will tell");
        assert_eq!(verdicts(&base, &[measured("log.a", 1, &[80.0; 18])]).ending(), Ending::Regression);
    }

    #[test]
    fn a_rough_baseline_blames_nobody() {
        // Two levels, as while something else was being built: its median says little about the tree.
        let rough = [measured("log.a", 1, &[100.0, 60.0, 101.0, 99.0, 61.0, 100.0, 62.0])];
        let new = [measured("log.a", 1, &[70.0, 70.5, 69.5, 70.0, 70.2, 70.1, 69.9])];
        let of = |pairing| Verdicts::of(&rough, &new, &LIMITS, pairing);
        assert_eq!(of(Pairing::Unpaired).ending(), Ending::Noisy);
        assert!(of(Pairing::Unpaired).open().is_empty(), "more rounds today can't help");
        let calm = [measured("log.a", 1, &[100.0, 99.0, 101.0, 99.5, 100.5, 100.0, 100.2])];
        let verdicts = Verdicts::of(&calm, &new, &LIMITS, Pairing::Unpaired);
        assert_eq!(verdicts.ending(), Ending::Regression);
        // What is beyond all roughness is beyond doubt.
        let ruined = [measured("log.a", 1, &[10.0; 7])];
        assert_eq!(Verdicts::of(&rough, &ruined, &LIMITS, Pairing::Unpaired).ending(), Ending::Regression);
    }

    #[test]
    fn a_regression_is_believed_only_when_there_are_enough_pairs() {
        let (base, new) = ([measured("log.a", 1, &[100.0; 10])], [measured("log.a", 1, &[60.0; 10])]);
        let of = |sure| Verdicts::of(&base, &new, &LIMITS, Pairing::Paired { sure });
        assert_eq!((of(20).ending(), of(20).open().len()), (Ending::Noisy, 1));
        assert_eq!(of(10).ending(), Ending::Regression);
    }

    #[test]
    fn what_looks_half_as_bad_as_a_regression_is_looked_at_again() {
        let base = [measured("log.a", 1, &[100.0; 10])];
        let of = |value: f64| {
            let new = [measured("log.a", 1, &[value; 10])];
            Verdicts::of(&base, &new, &LIMITS, Pairing::Paired { sure: 20 }).open().len()
        };
        assert_eq!((of(94.0), of(96.0)), (1, 0));
    }

    #[test]
    fn what_is_judged_on_one_side_only_is_named() {
        let judged = [measured("log.a", 1, &[100.0; 6])];
        let mut told = judged.clone();
        told[0].figures[0].kind = standpipe_harness::Kind::Told;
        let mut empty = judged.clone();
        empty[0].figures[0].values.clear();
        for new in [told, empty] {
            for (base, new) in [(&judged, &new), (&new, &judged)] {
                let verdicts = verdicts(base, new);
                assert_eq!((verdicts.judged.len(), verdicts.apart.len()), (0, 1), "{:?}", verdicts.apart);
                assert_eq!(verdicts.ending(), Ending::Noisy);
            }
        }
    }

    #[test]
    fn too_few_values_say_nothing() {
        let few = [measured("log.a", 1, &[100.0; 3])];
        let verdicts = verdicts(&few, &few);
        assert_eq!(verdicts.ending(), Ending::Noisy);
        assert_eq!(verdicts.open().len(), 1);
    }

    #[test]
    fn what_one_side_lacks_is_named_and_not_judged() {
        let values = [100.0; 6];
        let base = [measured("log.gone", 1, &values), measured("log.other", 1, &values)];
        let new = [measured("log.new", 1, &values), measured("log.other", 2, &values)];
        let verdicts = verdicts(&base, &new);
        assert!(verdicts.judged.is_empty());
        assert_eq!(verdicts.apart.len(), 3, "{:?}", verdicts.apart);
        assert_eq!(verdicts.ending(), Ending::Noisy, "nothing compared is nothing known");
    }

    #[test]
    fn the_same_values_are_fine_and_closed() {
        let same = [measured("log.a", 1, &[100.0, 101.0, 99.0, 100.0, 100.5, 100.2])];
        let verdicts = verdicts(&same, &same);
        assert_eq!(verdicts.ending(), Ending::Fine);
        assert!(verdicts.open().is_empty());
        assert!(verdicts.table(false).is_empty());
    }
}
