//! Runs workloads, prints their figures, keeps them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use standpipe_harness::Scale;

pub(crate) use super::measurement::measure;
use super::{
    args::Measuring,
    build::Build,
    catalogue::Catalogue,
    date, home, known, list,
    progress::Progress,
    record::Record,
    scratch::Scratch,
    summary,
    table::{Tone, painted},
    units,
};
use crate::{Outcome, data};

/// The arguments of `bench run`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    measuring: Measuring,
    /// How often each workload is measured: 3 for --quick, 5 for --full, 1 for --once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Only list the workloads: with --group those of it, with --quick those of the quick set
    #[arg(long)]
    list: bool,
    /// With --list: what --set takes
    #[arg(long, requires = "list")]
    settings: bool,
    /// Where the JSON goes; by default target/bench/runs/
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench run                                   the quick set
  cargo xtask bench run --list                            what there is
  cargo xtask bench run --group log --group pool --full   two groups, long samples
  cargo xtask bench run --group log.group.1k.w8 --set wal.durability=sync
  cargo xtask bench run --dir /mnt/disk                   on another filesystem

Exit codes: 0 measured, 2 a workload failed or nothing could be measured, 130 interrupted";

pub(crate) fn run(args: &RunArgs) -> Outcome {
    if args.list {
        return listed(args);
    }
    let rounds = args.rounds.unwrap_or(match args.measuring.scale() {
        Scale::Once => 1,
        Scale::Quick => 3,
        Scale::Full => 5,
    });
    if let Some(file) = &args.output {
        // Before half an hour of measuring, not after it.
        Record::check_place(file)?;
    }
    let (record, outcome) = measured(&args.measuring, rounds)?;
    if !record.results.is_empty() {
        let file = args.output.clone().unwrap_or_else(|| home().join("runs").join(file_name(&record)));
        record.write(&file)?;
        println!("{}", report(&record));
        println!("\nkept in {}", shown(&file));
    }
    outcome
}

/// Builds, measures, and tells on the way what is being done. The second part names the workloads that failed.
pub(crate) fn measured(measuring: &Measuring, rounds: u32) -> Result<(Record, Outcome), String> {
    let (build, catalogue, _programs) = built()?;
    catalogue.check_settings(&measuring.set)?;
    let workloads = catalogue.select(&measuring.group, measuring.scale() == Scale::Quick)?;
    let (_scratch, sampler) = measuring.sampler()?;
    let samples = workloads.len() as u64 * u64::from(rounds);
    announce(workloads.len(), rounds, sampler.span);
    let mut progress = Progress::of(samples);
    let measurement = measure(&build, &workloads, &sampler, rounds as usize, &mut progress)?;
    drop(progress);
    let outcome = measurement.outcome();
    Ok((measurement.record, outcome))
}

/// This tree's programs, what they have, and the place where they are.
pub(crate) fn built() -> Result<(Build, Catalogue, Scratch), String> {
    eprintln!("building ...");
    let build = Build::of(&data::root(), &data::target_dir())?;
    // Not where the workloads write: that may be a filesystem that runs no programs.
    let programs = Scratch::in_place(&home().join("programs"))?;
    let build = build.copied(programs.path())?;
    let catalogue = Catalogue::of(&build.bench)?;
    Ok((build, catalogue, programs))
}

/// How much there is to do, and about how long it takes: making files, warming up and checking come on top of a span.
pub(crate) fn announce(workloads: usize, rounds: u32, span: Duration) {
    let sample = span.mul_f64(1.4) + Duration::from_millis(100);
    let about = units::duration(sample * u32::try_from(workloads).unwrap_or(u32::MAX).saturating_mul(rounds));
    let (workloads, rounds) = (units::times(workloads, "workload"), units::times(rounds as usize, "round"));
    eprintln!("{workloads}, {rounds}, samples of {span:?}: about {about}");
}

/// Everything that is printed of a record.
fn report(record: &Record) -> String {
    let rounds = record.results.iter().flat_map(|one| &one.figures).map(|series| series.values.len()).max();
    let dirty = if record.commit.dirty { ", with changes" } else { "" };
    let set = if record.settings.is_empty() {
        String::new()
    } else {
        format!("\nset: {}", record.settings.join(", "))
    };
    let head = format!(
        "{}\n{} {}{dirty}{set}\nmedians of {} of {} ms; ± is half of what lies between the least and the most",
        record.machine.told(),
        record.commit.id,
        record.commit.subject,
        units::times(rounds.unwrap_or_default(), "round"),
        record.span_ms,
    );
    let mut parts = vec![painted(&head, Tone::Faint), summary::shown(&record.results)];
    // A moment shows that a workload runs, and nothing about its figures.
    if record.scale != "once" {
        parts.extend(known::table(&record.results).map(|table| table.shown()));
    }
    parts.join("\n\n")
}

fn listed(args: &RunArgs) -> Outcome {
    let (_, catalogue, _programs) = built()?;
    // A list shows all that there is, unless a set is asked for.
    let chosen = catalogue.select(&args.measuring.group, args.measuring.quick)?;
    println!("{}", list::shown(&catalogue, &chosen, args.settings));
    Ok(())
}

fn file_name(record: &Record) -> String {
    format!("{}-{}-{}.json", date::stamp(record.made_at_s), record.commit.id, std::process::id())
}

/// From where the user is, when it is below.
pub(crate) fn shown(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(here).unwrap_or(file).display().to_string()
}
