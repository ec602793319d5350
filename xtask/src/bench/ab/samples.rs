//! The samples of both builds.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use standpipe_harness::{Listed, Sample};

use super::{
    foreign::Moment,
    pairs::{At, PAIRS_A_ROUND, Plan, Side, Taker},
};
use crate::bench::{build::Build, progress::Progress, sampler::Sampler};

/// Takes them, and tells how far it is.
pub(crate) struct Samples<'a> {
    builds: [&'a Build; 2],
    /// For each duel those of both sides.
    samplers: Vec<[Sampler; 2]>,
    least: usize,
    began: Instant,
    /// Keys that some workload looked at.
    used: BTreeSet<String>,
    progress: Progress,
    /// What the progress says of the round.
    part: String,
    /// When the pair began.
    pair: Option<Moment>,
}

const ROUNDS_A_LINE: usize = 5;

impl<'a> Samples<'a> {
    /// The clock starts here.
    pub(crate) fn new(builds: [&'a Build; 2], samplers: Vec<[Sampler; 2]>, plan: &Plan) -> Self {
        let steps = samplers.len() * plan.least;
        Samples {
            builds,
            samplers,
            least: plan.least,
            began: Instant::now(),
            used: BTreeSet::new(),
            progress: Progress::of(steps as u64),
            part: String::new(),
            pair: None,
        }
    }

    /// Nobody shall believe that a setting was tried that nothing looked at.
    fn settings_were_used(&self) -> Result<(), String> {
        let pairs = self.samplers.iter().flatten().flat_map(|sampler| &sampler.set);
        let keys: BTreeSet<&str> = pairs.filter_map(|pair| Some(pair.split_once('=')?.0.trim())).collect();
        let idle: Vec<&str> = keys.into_iter().filter(|key| !self.used.contains(*key)).collect();
        if idle.is_empty() {
            return Ok(());
        }
        Err(format!("{}: none of the workloads looks at it; choose others with --group", idle.join(", ")))
    }
}

impl Taker for Samples<'_> {
    fn sample(&mut self, duel: usize, workload: &Listed, side: Side) -> Result<Sample, String> {
        let sampler = &self.samplers[duel][side as usize];
        let sample = sampler.sample(self.builds[side as usize], workload)?;
        let keys = sampler.set.iter().filter_map(|pair| Some(pair.split_once('=')?.0.trim()));
        self.used.extend(
            keys.filter(|key| !sample.settings_unused.iter().any(|unused| unused == key)).map(str::to_owned),
        );
        Ok(sample)
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn foreign_cores(&self) -> f64 {
        self.pair.and_then(|began| began.foreign_cores()).unwrap_or(0.0)
    }

    fn tell(&mut self, at: &At<'_>) -> Result<(), String> {
        if (at.round, at.done) == (2, 0) {
            self.settings_were_used()?;
        }
        let last = at.round * PAIRS_A_ROUND;
        let open = at.of / PAIRS_A_ROUND;
        if at.done == 0 && last <= self.least {
            self.part = format!("pairs {} and {last} of {open} workloads", last - 1);
        } else if at.done == 0 {
            self.progress.more(at.of as u64);
            // Few workloads go round quickly: where there is no terminal, not every round is a line.
            if (at.round - 1).is_multiple_of(ROUNDS_A_LINE) {
                self.part = format!("pair {} and on: {open} workloads still open", last - 1);
            }
        }
        self.progress.at(&self.part, at.workload);
        self.progress.step();
        self.pair = Moment::now();
        Ok(())
    }
}
