//! Samples in pairs: A B, B A, A B ..., workload by workload, round by round, until every verdict stands.

use std::time::Duration;

use standpipe_harness::{Listed, Sample};

use crate::bench::{
    interrupt,
    judge::{Limits, Verdict},
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
    /// The side that gave no figures, and why; it is not measured further.
    pub(crate) failed: Option<(Side, String)>,
}

/// Who takes the samples, and knows the time.
pub(crate) trait Taker {
    /// One sample of the duel with this index.
    fn sample(&mut self, duel: usize, workload: &Listed, side: Side) -> Result<Sample, String>;

    /// Since sampling began.
    fn elapsed(&self) -> Duration;

    /// Called before each pair. An error ends it.
    fn tell(&mut self, at: &At<'_>) -> Result<(), String>;
}

/// Where the sampling is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    /// From 1.
    pub(crate) round: usize,
    /// Of the workloads that this round measures.
    pub(crate) done: usize,
    pub(crate) of: usize,
    pub(crate) workload: &'a str,
}

impl Plan {
    /// From the least and the most number of pairs.
    pub(crate) fn new(least: usize, most: usize, time_max: Duration) -> Self {
        let most = most.max(least);
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
            failed: None,
        }
    }

    /// What its pairs say so far.
    pub(crate) fn verdicts(&self, limits: &Limits) -> Verdicts {
        Verdicts::of(
            std::slice::from_ref(&self.base),
            std::slice::from_ref(&self.this),
            limits,
            Pairing::Paired,
        )
    }

    /// Whether another pair is wanted.
    fn goes_on(&self, plan: &Plan, limits: &Limits) -> bool {
        if self.failed.is_some() || self.pairs >= plan.most {
            return false;
        }
        if self.pairs < plan.least {
            return true;
        }
        let is_sure = self.pairs >= plan.sure;
        let verdicts = self.verdicts(limits);
        verdicts.judged.iter().any(|one| one.is_open || (one.verdict == Verdict::Regression && !is_sure))
    }
}

/// The order within a pair: whoever goes first changes, so that neither is always the one that finds the caches cold.
pub(crate) fn order(round: usize) -> [Side; 2] {
    if round.is_multiple_of(2) { [Side::Base, Side::This] } else { [Side::This, Side::Base] }
}

/// Takes pairs until every duel is decided, has had its most, or the time is over; true when the time ended it.
pub(crate) fn run(
    duels: &mut [Duel],
    plan: &Plan,
    limits: &Limits,
    taker: &mut impl Taker,
) -> Result<bool, String> {
    for round in 0.. {
        let going: Vec<usize> =
            (0..duels.len()).filter(|index| duels[*index].goes_on(plan, limits)).collect();
        if going.is_empty() {
            break;
        }
        for (done, index) in going.iter().copied().enumerate() {
            if taker.elapsed() >= plan.time_max {
                return Ok(true);
            }
            let duel = &mut duels[index];
            taker.tell(&At { round: round + 1, done, of: going.len(), workload: &duel.workload.name })?;
            let mut samples = [None, None];
            for side in order(round) {
                match taker.sample(index, &duel.workload, side) {
                    Ok(sample) => samples[side as usize] = Some(sample),
                    Err(error) => {
                        interrupt::check()?;
                        duel.failed = Some((side, error));
                        break;
                    }
                }
            }
            // Both or none, so that the values stay in pairs.
            if let [Some(base), Some(this)] = samples {
                duel.base.add(base);
                duel.this.add(this);
                duel.pairs += 1;
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use standpipe_harness::{Driver, Figure};

    use super::*;

    const LIMITS: Limits = Limits { throughput_drop: 10.0, latency_rise: 15.0, memory_rise: 20.0 };

    /// Answers from a script: what the duel's n-th sample of a side is.
    struct Script<F> {
        value: F,
        taken: Vec<(usize, Side)>,
        per_sample: Duration,
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

        fn tell(&mut self, _: &At<'_>) -> Result<(), String> {
            Ok(())
        }
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
        let plan = Plan::new(6, 20, Duration::from_secs(100));
        let mut script = Script { value, taken: Vec::new(), per_sample };
        let ended = run(&mut duels, &plan, &LIMITS, &mut script).unwrap();
        (duels, ended, script.taken)
    }

    #[test]
    fn the_order_is_a_b_b_a_and_rounds_are_interleaved() {
        let (_, _, taken) = pairs_of(2, Duration::ZERO, |_, _, _| 100.0);
        use Side::{Base, This};
        let began = [
            (0, Base),
            (0, This),
            (1, Base),
            (1, This),
            (0, This),
            (0, Base),
            (1, This),
            (1, Base),
            (0, Base),
            (0, This),
        ];
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
        assert_eq!(duels[1].verdicts(&LIMITS).judged[0].verdict, Verdict::Regression);
        assert_eq!(duels[3].verdicts(&LIMITS).judged[0].verdict, Verdict::Noisy);
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
        assert_eq!(duels[0].verdicts(&LIMITS).judged[0].verdict, Verdict::Fine);
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
    }

    #[test]
    fn the_time_ends_it_between_pairs() {
        let (duels, time_is_over, taken) = pairs_of(3, Duration::from_secs(10), |_, _, _| 100.0);
        assert!(time_is_over);
        assert_eq!(taken.len(), 10);
        assert_eq!(duels.iter().map(|duel| duel.pairs).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(
            duels[0].verdicts(&LIMITS).ending(),
            crate::bench::Ending::Noisy,
            "too few pairs say nothing"
        );
    }
}
