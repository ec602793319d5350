//! Samples in pairs, workload by workload, round by round, until every verdict stands. A round stays with a workload
//! for two pairs, A B B A, and the next for B A A B: the first sample finds what another workload left (pages that wait
//! for the disk, a cold cache), the three behind it do not. So half of the pairs are free of it, and in the others it
//! is on either side as often.

use std::time::Duration;

use standpipe_harness::{Listed, Sample};

use crate::bench::{
    interrupt,
    judge::Limits,
    record::Measured,
    verdicts::{Pairing, Verdicts},
};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Base,
    This,
}

/// How many pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Of every workload.
    pub(crate) least: usize,
    /// Before a regression is believed. Among a few hundred figures some are beyond a limit by chance in the first
    /// pairs; as many again tell.
    pub(crate) sure: usize,
    /// Of a workload whose verdict is open.
    pub(crate) most: usize,
    /// After which no pair is begun.
    pub(crate) time_max: Duration,
}

/// One workload, measured on both sides, pair by pair.
#[derive(Clone, Debug)]
pub(crate) struct Duel {
    pub(crate) workload: Listed,
    pub(crate) base: Measured,
    pub(crate) this: Measured,
    pub(crate) pairs: usize,
    /// For each pair the cores that others used meanwhile.
    pub(crate) foreign_cores: Vec<f64>,
    /// The side that gave no figures, and why; it is not measured further.
    pub(crate) failed: Option<(Side, String)>,
    base_failures: usize,
}

/// A base that fails as often is not measured further.
const BASE_FAILURES_MOST: usize = 3;

/// Who takes the samples, and knows the time.
pub(crate) trait Taker {
    /// One sample of the duel with this index.
    fn sample(&mut self, duel: usize, workload: &Listed, side: Side) -> Result<Sample, String>;

    /// Since sampling began.
    fn elapsed(&self) -> Duration;

    /// Cores that others used since the last call of `tell`.
    fn foreign_cores(&self) -> f64;

    /// Called before each pair. An error ends it.
    fn tell(&mut self, at: &At<'_>) -> Result<(), String>;
}

/// Where the sampling is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    /// From 1.
    pub(crate) round: usize,
    /// Pairs of this round.
    pub(crate) done: usize,
    pub(crate) of: usize,
    pub(crate) workload: &'a str,
}

impl Plan {
    /// From the least and the most number of pairs, of which a round takes two.
    pub(crate) fn new(least: usize, most: usize, time_max: Duration) -> Self {
        let least = least.next_multiple_of(PAIRS_A_ROUND);
        let most = most.next_multiple_of(PAIRS_A_ROUND).max(least);
        Plan { least, sure: (2 * least).min(most), most, time_max }
    }
}

impl Duel {
    pub(crate) fn new(workload: Listed) -> Self {
        Duel {
            base: Measured::of(&workload),
            this: Measured::of(&workload),
            workload,
            pairs: 0,
            foreign_cores: Vec::new(),
            failed: None,
            base_failures: 0,
        }
    }

    /// What its pairs say so far.
    pub(crate) fn verdicts(&self, plan: &Plan, limits: &Limits) -> Verdicts {
        let (base, this) = self.judged_sides(plan);
        Verdicts::of(&[base], &[this], limits, Pairing::Paired { sure: plan.sure })
    }

    /// What is judged: the calm pairs where they alone would be enough to believe a regression, else all. Which pairs are calm is decided by
    /// what others did, and by no figure, so that this favours neither side.
    pub(crate) fn judged_sides(&self, plan: &Plan) -> (Measured, Measured) {
        let calm: Vec<bool> = self.foreign_cores.iter().map(|cores| *cores <= CALM_CORES).collect();
        if calm.iter().filter(|is_calm| **is_calm).count() < plan.sure {
            return (self.base.clone(), self.this.clone());
        }
        (calm_only(&self.base, &calm), calm_only(&self.this, &calm))
    }

    /// One pair more, or the reason why there is none.
    fn take_pair(&mut self, index: usize, taker: &mut impl Taker) -> Result<(), String> {
        let mut samples = [None, None];
        for side in order(self.pairs) {
            match taker.sample(index, &self.workload, side) {
                Ok(sample) => samples[side as usize] = Some(sample),
                Err(error) => {
                    interrupt::check()?;
                    // A base that fails is not this tree's fault, and once is not always.
                    self.base_failures += usize::from(side == Side::Base);
                    let counts = side == Side::This || self.base_failures == BASE_FAILURES_MOST;
                    // What fails on both sides is this tree's fault too.
                    if counts && (self.failed.is_none() || side == Side::This) {
                        self.failed = Some((side, error));
                    }
                }
            }
        }
        // Both or none, so that the values stay in pairs.
        if let [Some(base), Some(this)] = samples {
            self.base.add(base);
            self.this.add(this);
            self.pairs += 1;
            self.foreign_cores.push(taker.foreign_cores());
        }
        Ok(())
    }

    /// Whether another pair is wanted.
    fn goes_on(&self, plan: &Plan, limits: &Limits) -> bool {
        if self.failed.is_some() || self.pairs >= plan.most {
            return false;
        }
        if self.pairs < plan.least {
            return true;
        }
        !self.verdicts(plan, limits).open().is_empty()
    }
}

/// Others use no more than this while a calm pair is measured.
pub(crate) const CALM_CORES: f64 = 0.25;

fn calm_only(measured: &Measured, calm: &[bool]) -> Measured {
    let mut measured = measured.clone();
    // A figure that some sample lacks has no place for its values among the pairs.
    for series in measured.figures.iter_mut().filter(|series| series.values.len() == calm.len()) {
        let mut is_calm = calm.iter();
        series.values.retain(|_| is_calm.next().is_none_or(|calm| *calm));
    }
    measured
}

/// Pairs of a workload before the next one's turn.
pub(crate) const PAIRS_A_ROUND: usize = 2;

/// The order within a workload's n-th pair: A B, B A; B A, A B.
fn order(pair: usize) -> [Side; 2] {
    if matches!(pair % 4, 0 | 3) { [Side::Base, Side::This] } else { [Side::This, Side::Base] }
}

/// Takes pairs until every duel is decided, has had its most, or the time is over; true when the time ended it.
pub(crate) fn run(
    duels: &mut [Duel],
    plan: &Plan,
    limits: &Limits,
    taker: &mut impl Taker,
) -> Result<bool, String> {
    for round in 1.. {
        let going: Vec<usize> =
            (0..duels.len()).filter(|index| duels[*index].goes_on(plan, limits)).collect();
        if going.is_empty() {
            break;
        }
        let turns = going.iter().flat_map(|index| [*index; PAIRS_A_ROUND]);
        for (done, index) in turns.enumerate() {
            if taker.elapsed() >= plan.time_max {
                return Ok(true);
            }
            let duel = &mut duels[index];
            if duel.failed.is_none() {
                let of = going.len() * PAIRS_A_ROUND;
                taker.tell(&At { round, done, of, workload: &duel.workload.name })?;
                duel.take_pair(index, taker)?;
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use standpipe_harness::{Driver, Figure};

    use super::*;
    use crate::bench::judge::Verdict;

    const LIMITS: Limits = Limits { throughput_drop: 10.0, latency_rise: 15.0, memory_rise: 20.0 };

    /// Answers from a script: what the duel's n-th sample of a side is.
    struct Script<F> {
        value: F,
        taken: Vec<(usize, Side)>,
        per_sample: Duration,
        foreign: fn(usize) -> f64,
    }

    impl<F: FnMut(usize, Side, usize) -> f64> Taker for Script<F> {
        fn sample(&mut self, duel: usize, _: &Listed, side: Side) -> Result<Sample, String> {
            let earlier = self.taken.iter().filter(|taken| **taken == (duel, side)).count();
            self.taken.push((duel, side));
            let value = (self.value)(duel, side, earlier);
            if value < 0.0 {
                return Err("wrong result".to_owned());
            }
            Ok(Sample::of([Figure::throughput(value, 1.0, "rows/s")]))
        }

        fn elapsed(&self) -> Duration {
            self.per_sample * u32::try_from(self.taken.len()).unwrap_or(u32::MAX)
        }

        fn foreign_cores(&self) -> f64 {
            (self.foreign)(self.taken.len() / 2)
        }

        fn tell(&mut self, _: &At<'_>) -> Result<(), String> {
            Ok(())
        }
    }

    fn plan() -> Plan {
        Plan::new(6, 20, Duration::from_secs(100))
    }

    fn duels(count: usize) -> Vec<Duel> {
        let workload = |index| Listed {
            name: format!("some.{index}"),
            group: "some".to_owned(),
            measures: String::new(),
            quick: true,
            revision: 1,
            driver: Driver::Scenario,
        };
        (0..count).map(|index| Duel::new(workload(index))).collect()
    }

    fn pairs_of(
        count: usize,
        per_sample: Duration,
        value: impl FnMut(usize, Side, usize) -> f64,
    ) -> (Vec<Duel>, bool, Vec<(usize, Side)>) {
        let mut duels = duels(count);
        let mut script = Script { value, taken: Vec::new(), per_sample, foreign: |_| 0.0 };
        let ended = run(&mut duels, &plan(), &LIMITS, &mut script).unwrap();
        (duels, ended, script.taken)
    }

    #[test]
    fn a_round_is_a_b_b_a_of_each_and_the_next_the_other_way_round() {
        let (_, _, taken) = pairs_of(2, Duration::ZERO, |_, _, _| 100.0);
        use Side::{Base, This};
        let (abba, baab) = ([Base, This, This, Base], [This, Base, Base, This]);
        let rounds = [(0, abba), (1, abba), (0, baab), (1, baab), (0, abba)];
        let began: Vec<_> = rounds.iter().flat_map(|(duel, round)| round.map(|side| (*duel, side))).collect();
        assert_eq!(taken[..began.len()], began);
    }

    #[test]
    fn what_is_clear_stops_and_what_is_open_goes_on() {
        let (duels, time_is_over, _) = pairs_of(4, Duration::ZERO, |duel, side, index| {
            let noise = [0.4, 1.0, 1.8, 0.6, 1.5][index % 5];
            match (duel, side) {
                // Three times as slow: believed after twice the least.
                (1, Side::This) => 33.0,
                // At the limit.
                (2, Side::This) => 90.0 + (index % 3) as f64 - 1.0,
                // All over the place.
                (3, Side::This) => 100.0 * noise,
                _ => 100.0,
            }
        });
        assert!(!time_is_over);
        let pairs: Vec<_> = duels.iter().map(|duel| duel.pairs).collect();
        assert_eq!(pairs, [6, 12, 20, 20]);
        assert_eq!(duels[1].verdicts(&plan(), &LIMITS).judged[0].verdict, Verdict::Regression);
        assert_eq!(duels[3].verdicts(&plan(), &LIMITS).judged[0].verdict, Verdict::Noisy);
    }

    #[test]
    fn who_comes_after_another_workload_is_no_slower_for_it() {
        // The first sample of every turn takes half as long again.
        let (duels, ..) = pairs_of(1, Duration::ZERO, |_, side, index| {
            let is_first = match side {
                Side::Base => index % 4 == 0,
                Side::This => index % 4 == 2,
            };
            if is_first { 66.0 } else { 100.0 }
        });
        let judged = &duels[0].verdicts(&plan(), &LIMITS).judged[0];
        assert_eq!(judged.verdict, Verdict::Fine, "{judged:?}");
    }

    #[test]
    fn a_bad_beginning_is_no_regression() {
        // The first six pairs are unlucky, as one figure of hundreds will be; the next are not.
        let (duels, ..) =
            pairs_of(
                1,
                Duration::ZERO,
                |_, side, index| if side == Side::This && index < 6 { 80.0 } else { 100.0 },
            );
        assert!(duels[0].pairs > 12, "{}", duels[0].pairs);
        assert_eq!(duels[0].verdicts(&plan(), &LIMITS).judged[0].verdict, Verdict::Fine);
    }

    #[test]
    fn what_fails_is_not_measured_further_and_stops_no_other() {
        let (duels, ..) =
            pairs_of(
                2,
                Duration::ZERO,
                |duel, side, index| {
                    if (duel, side, index) == (0, Side::This, 3) { -1.0 } else { 100.0 }
                },
            );
        assert_eq!(duels[0].failed, Some((Side::This, "wrong result".to_owned())));
        assert_eq!(duels.iter().map(|duel| duel.pairs).collect::<Vec<_>>(), [3, 6]);
        let values = |measured: &Measured| measured.figures[0].values.len();
        assert_eq!((values(&duels[0].base), values(&duels[0].this)), (3, 3), "both or none");

        let base_fails =
            |times: usize| {
                let (duels, ..) = pairs_of(1, Duration::ZERO, move |_, side, index| {
                    if side == Side::Base && index < times { -1.0 } else { 100.0 }
                });
                (duels[0].failed.is_some(), duels[0].pairs)
            };
        assert_eq!(base_fails(2), (false, 6), "the base may fail twice");
        assert_eq!(base_fails(3), (true, 0));

        let (duels, ..) = pairs_of(1, Duration::ZERO, |_, _, _| -1.0);
        assert!(matches!(duels[0].failed, Some((Side::This, _))), "on both sides: {:?}", duels[0].failed);
    }

    #[test]
    fn what_others_disturbed_is_left_out_when_enough_is_calm() {
        // Two of three pairs are calm, and only those are alike.
        let disturbed = |pair: usize| if pair.is_multiple_of(3) { 1.5 } else { 0.0 };
        let value = |_, side, index: usize| match (side, index % 6) {
            (Side::This, 2) => 25.0,
            (Side::This, 5) => 400.0,
            _ => 100.0,
        };
        let mut script = Script { value, taken: Vec::new(), per_sample: Duration::ZERO, foreign: disturbed };
        let mut duels = duels(1);
        let plan = Plan { least: 18, ..plan() };
        run(&mut duels, &plan, &LIMITS, &mut script).unwrap();
        assert_eq!(duels[0].pairs, 18);
        let judged = &duels[0].verdicts(&plan, &LIMITS).judged[0];
        assert_eq!((judged.verdict, judged.values), (Verdict::Fine, 12));
        let few = Plan { sure: 13, ..plan };
        assert_eq!(duels[0].verdicts(&few, &LIMITS).judged[0].values, 18, "too few are calm");
        assert_eq!(duels[0].base.figures[0].values.len(), 18, "the record has them all");
    }

    #[test]
    fn the_time_ends_it_between_pairs() {
        let (duels, time_is_over, taken) = pairs_of(3, Duration::from_secs(10), |_, _, _| 100.0);
        assert!(time_is_over);
        assert_eq!(taken.len(), 10);
        assert_eq!(duels.iter().map(|duel| duel.pairs).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(
            duels[0].verdicts(&plan(), &LIMITS).ending(),
            crate::bench::Ending::Noisy,
            "too few pairs say nothing"
        );
    }
}
