//! Samples of contenders, taking turns.

use std::{collections::BTreeSet, path::Path};

use standpipe_harness::{Listed, Sample};

use super::{PYTHON_VENV, selection::comparison_of, server};
use crate::bench::{
    interrupt,
    progress::Progress,
    record::{Measured, Record},
    sampler::Sampler,
};

/// What was measured, what failed, and what was left out.
pub(super) struct Sampling {
    program: std::path::PathBuf,
    pub(super) record: Record,
    failed: Vec<(String, String)>,
    /// Those that were skipped; they follow those that were not.
    absent: Vec<Measured>,
    skipped: usize,
}

impl Sampling {
    pub(super) fn begin(program: &Path, sampler: &Sampler) -> Self {
        let (program, record) = (program.to_owned(), Record::of(sampler));
        Sampling { program, record, failed: Vec::new(), absent: Vec::new(), skipped: 0 }
    }

    /// Contenders that can't take part here. The record keeps them with the reason.
    pub(super) fn skip(&mut self, contenders: &[Listed], why: &str) {
        let (count, names) = (contenders.len(), contenders.iter().map(|one| one.name.as_str()));
        eprintln!("SKIPPED {count} contenders: {why}\n  {}", names.collect::<Vec<_>>().join(", "));
        self.skipped += count;
        for one in contenders {
            self.absent.push(without_figures(one, format!("skipped: {why}")));
        }
    }

    /// A peer that the program was built without.
    pub(super) fn left_out(&mut self, peer: &str, why: &str) {
        eprintln!("SKIPPED {peer}: {why}");
        self.skipped += 1;
    }

    /// Takes the samples: one comparison after the other, within it round by round, each round begun by another
    /// contender.
    ///
    /// # Errors
    /// Interrupted. A contender that fails is kept for [`Sampling::outcome`].
    pub(super) fn rounds(&mut self, sampler: &Sampler, chosen: &[Listed], rounds: usize) -> crate::Outcome {
        let program = self.program.clone();
        let take = |one: &Listed| sampler.scenario(&program, &one.name);
        let used = self.all(chosen, rounds, take)?;
        self.record.results.append(&mut self.absent);
        let keys = self.record.settings.iter().filter_map(|pair| Some(pair.split_once('=')?.0.trim()));
        let idle: Vec<_> = keys.filter(|key| !used.contains(*key)).collect();
        if idle.is_empty() || !self.failed.is_empty() {
            return Ok(());
        }
        Err(format!("--set {}: none of the selected contenders looks at it", idle.join(", ")))
    }

    /// Returns the settings that at least one contender looked at.
    fn all(
        &mut self,
        chosen: &[Listed],
        rounds: usize,
        mut take: impl FnMut(&Listed) -> Result<Sample, String>,
    ) -> Result<BTreeSet<String>, String> {
        let given: Vec<String> = self.record.settings.iter().filter_map(|pair| key(pair)).collect();
        let (mut used, mut progress) = (BTreeSet::new(), Progress::of((chosen.len() * rounds) as u64));
        for turns in chosen.chunk_by(|one, next| comparison_of(&one.name) == comparison_of(&next.name)) {
            for round in 0..rounds {
                let (before, first) = turns.split_at(round % turns.len());
                for one in first.iter().chain(before) {
                    progress.at(comparison_of(&one.name), &one.name);
                    interrupt::check()?;
                    if !self.failed.iter().any(|(name, _)| *name == one.name) {
                        match take(one) {
                            Ok(mut sample) => {
                                let unused = &sample.settings_unused;
                                used.extend(given.iter().filter(|key| !unused.contains(key)).cloned());
                                // Most contenders need no Python and no server, and nobody asked them to.
                                sample.settings_unused.retain(|key| !is_ours(key));
                                self.record.add(one, sample);
                            }
                            Err(error) => self.fail(one, error, &progress)?,
                        }
                    }
                    progress.step();
                }
            }
        }
        Ok(used)
    }

    fn fail(&mut self, one: &Listed, error: String, progress: &Progress) -> crate::Outcome {
        interrupt::check()?;
        progress.say(&format!("FAILED {}: {}", one.name, error.lines().next().unwrap_or_default()));
        // A wrong answer now is no praise for the fast ones before.
        self.record.results.retain(|result| result.workload != one.name);
        self.record.results.push(without_figures(one, format!("failed: {error}")));
        self.failed.push((one.name.clone(), error));
        Ok(())
    }

    /// How it ended: an error that names every contender that failed.
    pub(super) fn outcome(&self) -> crate::Outcome {
        if self.skipped > 0 {
            eprintln!("Left out, see SKIPPED above: {}.", self.skipped);
        }
        if self.failed.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = self.failed.iter().map(|(name, error)| format!("  {name}: {error}")).collect();
        Err(format!("contenders that failed: {}\n{}", lines.len(), lines.join("\n")))
    }
}

/// Whether it was said by us and by no person.
fn is_ours(key: &str) -> bool {
    key == PYTHON_VENV || server::KEYS.contains(&key)
}

fn key(pair: &str) -> Option<String> {
    Some(pair.split_once('=')?.0.trim().to_owned())
}

fn without_figures(one: &Listed, note: String) -> Measured {
    let mut measured = Measured::of(one);
    measured.notes.push(note);
    measured
}

#[cfg(test)]
mod tests {
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

    fn sampling() -> Sampling {
        let record = Record::begin(Path::new("."), "quick", 500, &[]);
        Sampling { program: "none".into(), record, failed: Vec::new(), absent: Vec::new(), skipped: 0 }
    }

    #[test]
    fn contenders_take_turns_and_each_round_begins_with_another() -> Result<(), String> {
        let mut order = String::new();
        let chosen = ["x/a", "x/b", "x/c", "y/d"].map(listed);
        sampling().all(&chosen, 3, |one| {
            order.push_str(&one.name[2..]);
            Ok(Sample::of([Figure::throughput(1.0, 1.0, "rows/s")]))
        })?;
        assert_eq!(order, "abcbcacabddd");
        Ok(())
    }

    #[test]
    fn one_that_fails_has_no_figures_and_stops_no_other() -> Result<(), String> {
        let (mut sampling, mut calls) = (sampling(), 0);
        sampling.all(&["x/good", "x/bad"].map(listed), 3, |one| {
            calls += 1;
            let fails = one.name == "x/bad" && calls > 2;
            if fails {
                Err("wrong".to_owned())
            } else {
                Ok(Sample::of([Figure::throughput(1.0, 1.0, "r/s")]))
            }
        })?;
        assert_eq!(calls, 5, "it is not tried again");
        assert_eq!(sampling.record.results[0].figures[0].values.len(), 3);
        let bad = &sampling.record.results[1];
        assert!(bad.figures.is_empty() && bad.notes == ["failed: wrong"], "{bad:?}");
        assert!(sampling.outcome().is_err_and(|error| error.contains("x/bad: wrong")));
        Ok(())
    }
}
