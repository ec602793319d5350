//! Both builds measured and judged.

use std::{fs, path::Path, time::Duration};

use serde::Serialize;
use standpipe_harness::Scale;

use super::{
    AbArgs, Builds, Built, Samples,
    common::Common,
    pairs::{self, CALM_CORES, Duel, Plan, Side},
};
use crate::{
    Outcome,
    bench::{
        Ending,
        catalogue::Catalogue,
        home,
        judge::{Limits, median},
        record::{Commit, Record},
        table::Table,
        units,
        verdicts::{Pairing, Verdicts},
    },
};

/// How long a sample measures in the quick set. Many short samples tell more than few long ones: a virtual machine
/// whose neighbour shares its core runs at two thirds of its speed for a few tenths of a second at a time, and both
/// samples of a short pair fall into the same stretch more often.
const SPAN_QUICK: Duration = Duration::from_millis(100);
const SPAN_FULL: Duration = Duration::from_millis(500);

/// What a comparison found.
pub(crate) struct Compared {
    verdicts: Verdicts,
    /// What erred in this tree, or gave a wrong result: after it no verdict is a good one.
    failed: Option<String>,
    plan: Plan,
    pairs: usize,
    pairs_most: usize,
    /// For each pair the cores that others used meanwhile.
    foreign: Vec<f64>,
    took: Duration,
    is_time_over: bool,
    /// Workloads for which there was no time.
    unmeasured: Vec<String>,
}

/// Both sides of the last comparison, value by value.
#[derive(Serialize)]
struct Both<'a> {
    base: &'a Record,
    this: &'a Record,
}

impl Compared {
    /// Measures both builds, judges, and keeps the figures of both.
    ///
    /// # Errors
    /// No workload looks at a setting, or none is in both builds. What fails while it is measured is in `outcome`.
    pub(crate) fn of(builds: &Builds, args: &AbArgs) -> Result<Self, String> {
        let mut measuring = args.measuring.clone();
        let is_quick = match measuring.scale() {
            Scale::Once => return Err("--once measures nothing that could be compared".to_owned()),
            scale => scale == Scale::Quick,
        };
        measuring.span = measuring.span.or(Some(if is_quick { SPAN_QUICK } else { SPAN_FULL }));
        let minutes = if is_quick { 15 } else { 60 };
        let time_max = args.pairs.time_max.unwrap_or(Duration::from_secs(minutes * 60));
        let plan = Plan::new(args.pairs.pairs.into(), args.pairs.pairs_max.into(), time_max);

        let base = Catalogue::of(&builds.base.build.bench)?;
        let this = Catalogue::of(&builds.this.build.bench)?;
        let common = Common::of(&base, &this, &measuring.group, is_quick)?;
        let (_scratch, sampler) = measuring.sampler()?;
        let mut base_sampler = sampler.clone();
        base_sampler.set.extend(args.set_base.iter().cloned());
        if builds.are_identical() && base_sampler.set == sampler.set {
            println!("The programs of both are the same, byte for byte: whatever differs is noise.");
        }
        println!(
            "{} workloads, samples of {} ms, {} to {} pairs, at most {}.",
            common.workloads.len(),
            sampler.span.as_millis(),
            plan.least,
            plan.most,
            units::duration(plan.time_max)
        );
        let mut records = [(&builds.base, &base_sampler), (&builds.this, &sampler)]
            .map(|(built, sampler)| Record { commit: built.commit(), ..Record::of(sampler) });
        let mut duels: Vec<Duel> = common.workloads.into_iter().map(Duel::new).collect();
        let mut samples = Samples::new(
            [&builds.base.build, &builds.this.build],
            vec![[base_sampler, sampler]; duels.len()],
            &plan,
        );
        let is_time_over = pairs::run(&mut duels, &plan, &args.limits, &mut samples)?;
        let took = pairs::Taker::elapsed(&samples);
        drop(samples);

        records[0].results = duels.iter().map(|duel| duel.base.clone()).collect();
        records[1].results = duels.iter().map(|duel| duel.this.clone()).collect();
        keep(&Both { base: &records[0], this: &records[1] })?;
        let sampled = Sampled { duels, apart: common.apart, plan, took, is_time_over };
        Ok(sampled.judged(&args.limits))
    }

    /// What stands below the table.
    pub(crate) fn lines(&self) -> Vec<String> {
        let told = self.verdicts.told();
        let mut lines: Vec<String> = told.lines().map(str::to_owned).collect();
        // The sentence comes last of all.
        lines.pop();
        lines.push(format!(
            "{} pairs in {}, at most {} of one workload.",
            self.pairs,
            units::duration(self.took),
            self.pairs_most
        ));
        let disturbed = self.foreign.iter().filter(|cores| **cores > CALM_CORES).count();
        if disturbed > 0 {
            let share = disturbed as f64 / self.foreign.len() as f64 * 100.0;
            lines.push(format!(
                "Something else kept the machine busy during {share:.0}% of the pairs (half of all: {:.1} cores or more); \
                 these count only for workloads with fewer than {} calm ones.",
                median(&self.foreign),
                self.plan.sure
            ));
        }
        if self.is_time_over {
            lines.push(format!(
                "The time ({}) ended it; --time-max gives more.",
                units::duration(self.plan.time_max)
            ));
        }
        if !self.unmeasured.is_empty() {
            lines.push(format!("no time was left for: {}", self.unmeasured.join(", ")));
        }
        lines
    }

    /// The verdict, in a sentence.
    pub(crate) fn sentence(&self) -> String {
        if self.verdicts.ending() == Ending::Fine && self.ending() == Ending::Noisy {
            return format!("INCONCLUSIVE: no time was left for {}.", self.unmeasured.join(", "));
        }
        self.verdicts.sentence()
    }

    /// The error that names all workloads that failed in this tree.
    pub(crate) fn outcome(&self) -> Outcome {
        self.failed.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn table(&self) -> Table {
        self.verdicts.table(false)
    }

    pub(crate) fn ending(&self) -> Ending {
        match self.verdicts.ending() {
            Ending::Fine if !self.unmeasured.is_empty() => Ending::Noisy,
            ending => ending,
        }
    }
}

/// What was measured, not judged yet.
struct Sampled {
    duels: Vec<Duel>,
    apart: Vec<String>,
    plan: Plan,
    took: Duration,
    is_time_over: bool,
}

impl Sampled {
    /// What failed in this tree is an error when all is told; what failed in the base only is told.
    fn judged(self, limits: &Limits) -> Compared {
        let Sampled { mut duels, mut apart, plan, took, is_time_over } = self;
        let (mut here, mut in_base) = (Vec::new(), Vec::new());
        for duel in &duels {
            match &duel.failed {
                Some((Side::This, error)) => here.push(error.as_str()),
                Some((Side::Base, error)) => in_base.push(format!("it fails in the base: {error}")),
                None => {}
            }
        }
        let failed =
            (!here.is_empty()).then(|| format!("this tree's workloads failed:\n  {}", here.join("\n  ")));
        apart.extend(in_base);
        duels.retain(|duel| duel.failed.is_none());
        let unmeasured = duels.extract_if(.., |duel| duel.pairs == 0);
        let unmeasured: Vec<String> = unmeasured.map(|duel| duel.workload.name).collect();
        let pairs = duels.iter().map(|duel| duel.pairs).sum();
        let pairs_most = duels.iter().map(|duel| duel.pairs).max().unwrap_or(0);
        let foreign: Vec<f64> = duels.iter().flat_map(|duel| duel.foreign_cores.iter().copied()).collect();
        let (base, this): (Vec<_>, Vec<_>) = duels.iter().map(|duel| duel.judged_sides(&plan)).unzip();
        let mut verdicts = Verdicts::of(&base, &this, limits, Pairing::Paired { sure: plan.sure });
        verdicts.apart.extend(apart);
        Compared { verdicts, failed, plan, pairs, pairs_most, foreign, took, is_time_over, unmeasured }
    }
}

impl Built {
    fn commit(&self) -> Commit {
        let (id, subject) = self.source.name.split_once(' ').unwrap_or((&self.source.name, ""));
        Commit { id: id.to_owned(), subject: subject.to_owned(), dirty: self.source.is_snapshot }
    }
}

fn keep(both: &Both<'_>) -> Outcome {
    let path: &Path = &home().join("ab/last.json");
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = serde_json::to_string_pretty(both).map_err(|error| failed(&error))?;
    let new = path.with_extension("json.new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, path)).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use standpipe_harness::{Driver, Figure, Listed, Sample};

    use super::*;

    const LIMITS: Limits = Limits { throughput_drop: 10.0, latency_rise: 15.0, memory_rise: 20.0 };

    fn duel(name: &str, pairs: usize, failed: Option<Side>) -> Duel {
        let mut duel = Duel::new(Listed {
            name: name.to_owned(),
            group: "some".to_owned(),
            measures: String::new(),
            quick: true,
            revision: 1,
            driver: Driver::Scenario,
        });
        for _ in 0..pairs {
            duel.base.add(Sample::of([Figure::throughput(1.0, 1.0, "rows/s")]));
            duel.this.add(Sample::of([Figure::throughput(1.0, 1.0, "rows/s")]));
            duel.pairs += 1;
            duel.foreign_cores.push(0.0);
        }
        duel.failed = failed.map(|side| (side, format!("{name}: wrong result")));
        duel
    }

    fn judged(duels: Vec<Duel>) -> Compared {
        let plan = Plan::new(6, 6, Duration::from_secs(60));
        let took = Duration::from_secs(60);
        Sampled { duels, apart: Vec::new(), plan, took, is_time_over: true }.judged(&LIMITS)
    }

    #[test]
    fn a_wrong_result_here_is_an_error_and_one_in_the_base_is_told() -> Result<(), String> {
        let compared = judged(vec![duel("a", 6, None), duel("b", 6, Some(Side::This))]);
        assert!(compared.outcome().is_err_and(|message| message.contains("b: wrong result")));
        let compared = judged(vec![duel("a", 6, None), duel("b", 6, Some(Side::Base))]);
        compared.outcome()?;
        assert_eq!(compared.ending(), Ending::Fine);
        assert_eq!(compared.pairs, 6);
        assert!(compared.lines().iter().any(|line| line.contains("b: wrong result")));
        Ok(())
    }

    #[test]
    fn what_there_was_no_time_for_is_not_fine() {
        let compared = judged(vec![duel("a", 6, None), duel("b", 0, None)]);
        assert_eq!(compared.ending(), Ending::Noisy);
        assert_eq!(compared.sentence(), "INCONCLUSIVE: no time was left for b.");
    }
}
