//! Holds this tree against another revision: both built, and measured in pairs.

mod builds;
mod common;
mod compared;
mod foreign;
pub(crate) mod git;
pub(crate) mod pairs;
mod samples;
mod tree;

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use standpipe_harness::Scale;

pub(crate) use builds::{Builds, Built};
pub(crate) use compared::Compared;
pub(crate) use samples::Samples;

use super::{
    Ending,
    args::Measuring,
    home,
    judge::Limits,
    run::built,
    table::{Tone, painted},
};
use crate::Outcome;

/// The arguments of `bench ab`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
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

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench ab main                          this tree, changes and all, against main
  cargo xtask bench ab HEAD~1 --group log            one group
  cargo xtask bench ab HEAD --set wal.durability=os --set-base wal.durability=group
                                                     one tree, with and without a setting

Both are built in one worktree under target/bench/ab and measured in turn, A B B A.

Exit codes: 0 no regression, 1 a regression, 2 it could not be done, 3 too noisy to say, 130 interrupted";

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

pub(crate) const PAIRS: u16 = 10;
pub(crate) const PAIRS_MAX: u16 = 120;

impl Default for Pairs {
    fn default() -> Self {
        Pairs { pairs: PAIRS, pairs_max: PAIRS_MAX, time_max: None }
    }
}

pub(crate) fn run(args: &AbArgs) -> Result<Ending, String> {
    args.check()?;
    let builds = Builds::of(&args.revision)?;
    let compared = Compared::of(&builds, args)?;
    let table = compared.table();
    if !table.is_empty() {
        println!("{}", table.shown());
    }
    for line in compared.lines() {
        println!("{line}");
    }
    let kept = home().join("ab/last.json");
    println!("Kept: {} (the builds too; `bench clean` removes them)", kept.display());
    compared.outcome()?;
    println!("{}", painted(&compared.sentence(), tone(compared.ending())));
    Ok(compared.ending())
}

impl AbArgs {
    /// Refuses what could not be measured, before a quarter of an hour goes into building.
    ///
    /// # Errors
    /// `--once`, or a group or a setting that this tree's workloads do not have.
    pub(crate) fn check(&self) -> Outcome {
        if self.measuring.once {
            return Err("--once measures nothing that could be compared".to_owned());
        }
        if self.measuring.group.is_empty() && self.measuring.set.is_empty() && self.set_base.is_empty() {
            return Ok(());
        }
        // This tree is built in place, where the next `run` finds it; the base is what takes long.
        let (_, catalogue, _programs) = built()?;
        catalogue.check_settings(&self.measuring.set)?;
        catalogue.check_settings(&self.set_base)?;
        catalogue.select(&self.measuring.group, self.measuring.scale() == Scale::Quick).map(drop)
    }
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
