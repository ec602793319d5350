//! Rounds of samples, interleaved over all workloads, so that what the machine does to one hour of them it does to all.

use std::{collections::BTreeSet, path::Path};

use standpipe_harness::{Listed, Sample};

use super::{build::Build, interrupt, progress::Progress, record::Record, sampler::Sampler};

/// Takes one sample of a workload.
type Take<'a> = dyn FnMut(&Listed) -> Result<Sample, String> + 'a;

/// A measurement that goes on as long as its owner wants more rounds.
pub(crate) struct Measurement<'a> {
    take: Box<Take<'a>>,
    /// What was measured. A workload that failed once has no figures here.
    pub(crate) record: Record,
    /// Workloads that failed, each with its error. They are not tried again.
    pub(crate) failed: Vec<(String, String)>,
    rounds: usize,
    set: Vec<String>,
    used: BTreeSet<String>,
}

/// Measures so many rounds: a measurement begun, and its first rounds.
///
/// # Errors
/// Interrupted, or a setting that no workload looks at. A workload that fails is in `failed`.
pub(crate) fn measure<'a>(
    build: &'a Build,
    workloads: &[Listed],
    sampler: &'a Sampler,
    rounds: usize,
    progress: &mut Progress,
) -> Result<Measurement<'a>, String> {
    let mut measurement = Measurement::begin(build, sampler);
    measurement.rounds(workloads, rounds, progress)?;
    Ok(measurement)
}

impl<'a> Measurement<'a> {
    /// Nothing measured yet.
    pub(crate) fn begin(build: &'a Build, sampler: &'a Sampler) -> Self {
        let take = |workload: &Listed| sampler.sample(build, workload);
        Measurement::by(take, Record::of(sampler), &sampler.set)
    }

    fn by(
        take: impl FnMut(&Listed) -> Result<Sample, String> + 'a,
        record: Record,
        set: &[String],
    ) -> Measurement<'a> {
        Measurement {
            take: Box::new(take),
            record,
            failed: Vec::new(),
            rounds: 0,
            set: set.to_vec(),
            used: BTreeSet::new(),
        }
    }

    /// So many rounds more, of these workloads only. Every other round goes backwards, so that none has the same
    /// neighbour before it each time.
    pub(crate) fn rounds(
        &mut self,
        workloads: &[Listed],
        count: usize,
        progress: &mut Progress,
    ) -> Result<(), String> {
        for round in 1..=count {
            let mut order: Vec<_> = workloads.iter().collect();
            if self.rounds % 2 == 1 {
                order.reverse();
            }
            for workload in order {
                progress.at(&format!("round {round} of {count}, {}", workload.group), &workload.name);
                self.one(workload, progress)?;
                progress.step();
            }
            if self.rounds == 0 {
                self.settings_were_used()?;
            }
            self.rounds += 1;
        }
        Ok(())
    }

    /// The error that names all workloads that failed.
    pub(crate) fn outcome(&self) -> crate::Outcome {
        if self.failed.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = self.failed.iter().map(|(_, error)| format!("  {error}")).collect();
        let workloads = if lines.len() == 1 { "1 workload" } else { &format!("{} workloads", lines.len()) };
        Err(format!("{workloads} failed:\n{}", lines.join("\n")))
    }

    fn one(&mut self, workload: &Listed, progress: &Progress) -> Result<(), String> {
        if self.failed.iter().any(|(name, _)| *name == workload.name) {
            return Ok(());
        }
        match (self.take)(workload) {
            Ok(sample) => {
                let keys = self.set.iter().filter_map(|pair| Some(pair.split_once('=')?.0.trim()));
                let used = keys.filter(|key| !sample.settings_unused.iter().any(|unused| unused == key));
                self.used.extend(used.map(str::to_owned));
                self.record.add(workload, sample);
            }
            Err(error) => {
                interrupt::check()?;
                progress.say(&format!("FAILED {}", error.lines().next().unwrap_or_default()));
                // A wrong answer now is no praise for the fast ones before.
                self.record.results.retain(|one| one.workload != workload.name);
                let error = if error.contains(&workload.name) {
                    error
                } else {
                    format!("{}: {error}", workload.name)
                };
                self.failed.push((workload.name.clone(), error));
            }
        }
        Ok(())
    }

    /// Nobody shall believe that a setting was tried that nothing looked at.
    fn settings_were_used(&self) -> Result<(), String> {
        let keys = self.set.iter().filter_map(|pair| Some(pair.split_once('=')?.0.trim()));
        let idle: Vec<_> = keys.filter(|key| !self.used.contains(*key)).collect();
        // Those that failed may have looked at it.
        if idle.is_empty() || !self.failed.is_empty() {
            return Ok(());
        }
        Err(format!(
            "--set {}: none of the selected workloads looks at it, so nothing would have been tried; \
             select others with --group",
            idle.join(", ")
        ))
    }
}

impl Record {
    /// An empty one for what this sampler will measure.
    pub(crate) fn of(sampler: &Sampler) -> Self {
        let place: &Path = &sampler.scratch;
        let span_ms = u64::try_from(sampler.span.as_millis()).unwrap_or(u64::MAX);
        Record::begin(place, sampler.scale_name(), span_ms, &sampler.set)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, path::Path};

    use standpipe_harness::{Driver, Figure};

    use super::*;

    fn listed(name: &str) -> Listed {
        Listed {
            name: name.to_owned(),
            group: "log".to_owned(),
            measures: String::new(),
            quick: true,
            revision: 1,
            driver: Driver::Scenario,
        }
    }

    fn sample() -> Sample {
        Sample::of([Figure::throughput(1.0, 1.0, "rows/s")])
    }

    #[test]
    fn rounds_are_interleaved_and_every_other_one_goes_backwards() -> Result<(), String> {
        let order = RefCell::new(String::new());
        let take = |workload: &Listed| {
            order.borrow_mut().push_str(&workload.name);
            Ok(sample())
        };
        let record = Record::begin(Path::new("."), "quick", 500, &[]);
        let mut measurement = Measurement::by(take, record, &[]);
        let workloads = [listed("a"), listed("b"), listed("c")];
        measurement.rounds(&workloads, 2, &mut Progress::of(0))?;
        measurement.rounds(&workloads[1..], 1, &mut Progress::of(0))?;
        assert_eq!(measurement.record.results[1].figures[0].values.len(), 3);
        measurement.outcome()?;
        drop(measurement);
        assert_eq!(*order.borrow(), "abccbabc");
        Ok(())
    }

    #[test]
    fn one_that_fails_stops_no_other_and_has_no_figures() -> Result<(), String> {
        let mut calls = 0;
        let take = |workload: &Listed| {
            calls += 1;
            // It fails in the second round only.
            if workload.name == "bad" && calls > 2 { Err("wrong result".to_owned()) } else { Ok(sample()) }
        };
        let record = Record::begin(Path::new("."), "quick", 500, &[]);
        let mut measurement = Measurement::by(take, record, &[]);
        measurement.rounds(&[listed("bad"), listed("good")], 3, &mut Progress::of(0))?;
        assert_eq!(measurement.record.results.len(), 1);
        assert_eq!(measurement.record.results[0].figures[0].values.len(), 3);
        let error = measurement.outcome().expect_err("one failed");
        assert_eq!(error, "1 workload failed:\n  bad: wrong result");
        drop(measurement);
        assert_eq!(calls, 5, "it is not tried again");
        Ok(())
    }

    #[test]
    fn a_setting_that_nothing_looks_at_is_an_error() {
        let set = ["wal.size=1".to_owned(), "sink.age=1s".to_owned()];
        let take = |workload: &Listed| {
            let mut sample = sample();
            sample.settings_unused.push("sink.age".to_owned());
            if workload.name == "b" {
                sample.settings_unused.push("wal.size".to_owned());
            }
            Ok(sample)
        };
        let record = || Record::begin(Path::new("."), "quick", 500, &set);
        let mut measurement = Measurement::by(take, record(), &set);
        let error =
            measurement.rounds(&[listed("a"), listed("b")], 1, &mut Progress::of(0)).expect_err("unused");
        assert!(error.starts_with("--set sink.age: none"), "{error}");
        let mut measurement = Measurement::by(take, record(), &set[..1]);
        assert!(measurement.rounds(&[listed("a")], 1, &mut Progress::of(0)).is_ok());
    }
}
