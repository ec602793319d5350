//! Holds this tree against another revision: both built, and measured in pairs.

mod builds;
mod common;
pub(crate) mod git;
pub(crate) mod pairs;
mod samples;
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde::Serialize;
use standpipe_harness::Scale;

pub(crate) use builds::{Builds, Built};
pub(crate) use samples::Samples;

use self::{
    common::Common,
    pairs::{Duel, Plan, Side},
};
use super::{
    Ending,
    args::Measuring,
    catalogue::Catalogue,
    home,
    judge::Limits,
    record::{Commit, Record},
    table::{Table, Tone, painted},
    units,
    verdicts::{Pairing, Verdicts},
};
use crate::Outcome;

/// The arguments of `bench ab`.
#[derive(Args, Debug)]
pub(crate) struct AbArgs {
    /// What this tree, with its changes that are not committed, is held against: any revision that git knows
    #[arg(value_name = "REV")]
    pub(crate) revision: String,
    #[command(flatten)]
    pub(crate) measuring: Measuring,
    /// A setting of the base only, after those of --set: to try one setting on one tree,
    /// `ab HEAD --set wal.durability=os --set-base wal.durability=group`
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set_base: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) pairs: Pairs,
}

/// How many pairs, and how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct Pairs {
    /// The least pairs of each workload
    #[arg(long, default_value_t = PAIRS, value_name = "N", value_parser = clap::value_parser!(u16).range(5..=500))]
    pub(crate) pairs: u16,
    /// The most pairs of a workload whose verdict is open
    #[arg(long, default_value_t = PAIRS_MAX, value_name = "N", value_parser = clap::value_parser!(u16).range(5..=1000))]
    pub(crate) pairs_max: u16,
    /// When no further pair is begun; building comes before and is not counted [default: 15m, with --full 60m]
    #[arg(long, value_name = "DURATION", value_parser = stretch)]
    pub(crate) time_max: Option<Duration>,
}

pub(crate) const PAIRS: u16 = 8;
pub(crate) const PAIRS_MAX: u16 = 40;

impl Default for Pairs {
    fn default() -> Self {
        Pairs { pairs: PAIRS, pairs_max: PAIRS_MAX, time_max: None }
    }
}

/// How long a sample measures in the quick set: many short samples tell more than few long ones, as what disturbs
/// comes and goes.
const SPAN_QUICK: Duration = Duration::from_millis(250);
const SPAN_FULL: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &AbArgs) -> Result<Ending, String> {
    let builds = Builds::of(&args.revision)?;
    let compared = Compared::of(&builds, args)?;
    let table = compared.verdicts.table(false);
    if !table.is_empty() {
        println!("{}", table.shown());
    }
    for line in compared.lines() {
        println!("{line}");
    }
    let kept = home().join("ab/last.json");
    println!("Kept: {} (the builds too; `bench clean` removes them)", kept.display());
    println!("{}", painted(&compared.sentence(), tone(compared.ending())));
    Ok(compared.ending())
}

/// A path for the index through which a snapshot is written.
pub(crate) fn index_path() -> Result<PathBuf, String> {
    let place = home().join("ab");
    let failed = |error: std::io::Error| format!("{}: {error}", place.display());
    fs::create_dir_all(&place).map_err(failed)?;
    // Git runs elsewhere than we do, perhaps.
    Ok(place.canonicalize().map_err(failed)?.join(format!("index-{}", std::process::id())))
}

/// How an ending is coloured.
pub(crate) fn tone(ending: Ending) -> Tone {
    match ending {
        Ending::Fine => Tone::Good,
        Ending::Noisy => Tone::Warning,
        Ending::Regression => Tone::Bad,
    }
}

/// What a comparison found.
pub(crate) struct Compared {
    pub(crate) verdicts: Verdicts,
    plan: Plan,
    pairs: usize,
    pairs_most: usize,
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
    /// This tree's workloads err or give a wrong result, or a setting is none that any workload looks at.
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
        judged(
            duels,
            args,
            common.apart,
            Compared {
                verdicts: Verdicts::of(&[], &[], &args.limits, Pairing::Paired),
                plan,
                pairs: 0,
                pairs_most: 0,
                took,
                is_time_over,
                unmeasured: Vec::new(),
            },
        )
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

/// Judges what was measured; what failed in this tree is an error, what failed in the base only is told.
fn judged(
    mut duels: Vec<Duel>,
    args: &AbArgs,
    mut apart: Vec<String>,
    blank: Compared,
) -> Result<Compared, String> {
    let failed = |side: Side| {
        let of_it = duels.iter().filter_map(move |duel| match &duel.failed {
            Some((at, error)) if *at == side => Some(error.clone()),
            _ => None,
        });
        of_it.collect::<Vec<_>>()
    };
    let (in_base, here) = (failed(Side::Base), failed(Side::This));
    if !here.is_empty() {
        return Err(format!("this tree's workloads failed:\n  {}", here.join("\n  ")));
    }
    apart.extend(in_base.iter().map(|error| format!("it fails in the base: {error}")));
    duels.retain(|duel| duel.failed.is_none());
    let unmeasured: Vec<String> =
        duels.iter().filter(|duel| duel.pairs == 0).map(|duel| duel.workload.name.clone()).collect();
    duels.retain(|duel| duel.pairs > 0);
    let base: Vec<_> = duels.iter().map(|duel| duel.base.clone()).collect();
    let this: Vec<_> = duels.iter().map(|duel| duel.this.clone()).collect();
    let mut verdicts = Verdicts::of(&base, &this, &args.limits, Pairing::Paired);
    verdicts.apart.extend(apart);
    Ok(Compared {
        verdicts,
        pairs: duels.iter().map(|duel| duel.pairs).sum(),
        pairs_most: duels.iter().map(|duel| duel.pairs).max().unwrap_or(0),
        unmeasured,
        ..blank
    })
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

/// `90s`, `20m`, `1h`, and the fractions of a second that spans are written in.
pub(crate) fn stretch(text: &str) -> Result<Duration, String> {
    let refused = || "write 90s, 20m or 1h".to_owned();
    let longer = |unit: char, seconds: f64| {
        let count: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Duration::try_from_secs_f64(count * seconds).ok()
    };
    let stretch = longer('m', 60.0).or_else(|| longer('h', 3600.0));
    let stretch = stretch.or_else(|| standpipe_harness::parse_duration(text)).ok_or_else(refused)?;
    if stretch.is_zero() || stretch > Duration::from_secs(24 * 3600) { Err(refused()) } else { Ok(stretch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_of_time() {
        assert_eq!(stretch("20m"), Ok(Duration::from_secs(1200)));
        assert_eq!(stretch("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(stretch("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(stretch("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "m", "-1m", "0s", "1e9h", "NaNm", "soon"] {
            assert!(stretch(wrong).is_err(), "{wrong}");
        }
    }
}
