//! The same work through what else could be picked, side by side, as ratios.

mod comparison;
mod ratio;
mod sampling;
mod selection;
mod server;
mod venv;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use standpipe_harness::{Listed, Scale};

pub(crate) use comparison::{Comparison, Contender, Role, comparisons};

use self::sampling::Sampling;
use super::{
    args::Measuring,
    build,
    catalogue::Catalogue,
    date, home,
    record::Measured,
    sampler::Sampler,
    table::{Table, Tone, painted},
};
use crate::{data, services::Postgres};

/// The arguments of `bench peers`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PeersArgs {
    #[command(flatten)]
    measuring: Measuring,
    /// Rounds: each contender once in each. 5, with --full 11, with --once 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=999))]
    rounds: Option<u16>,
    /// RocksDB too: a C++ build of many minutes that needs libclang
    #[arg(long)]
    with_rocksdb: bool,
    /// Leave out what needs Python
    #[arg(long)]
    no_python: bool,
    /// Only list the contenders
    #[arg(long)]
    list: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench peers                            everything but RocksDB
  cargo xtask bench peers --group log --full
  cargo xtask bench peers --list

Exit codes: 0 measured, 2 a contender failed or gave a wrong result, 130 interrupted";

pub(crate) fn run(args: &PeersArgs) -> crate::Outcome {
    let program = built(args.with_rocksdb)?;
    let catalogue = Catalogue::of(&program)?;
    let chosen = selection::select(&catalogue.workloads, &args.measuring.group)?;
    if args.list {
        println!("{}", listed(&chosen));
        return Ok(());
    }
    selection::settings_are_known(&args.measuring.set, &catalogue.keys)?;
    let (scratch, mut sampler) = args.measuring.sampler()?;
    let mut sampling = Sampling::begin(&program, &sampler);
    let chosen = match python(args, &chosen)? {
        Python::Unneeded => chosen,
        Python::At(venv) => {
            sampler.set.push(format!("{PYTHON_VENV}={}", venv.display()));
            chosen
        }
        Python::Missing(why) => {
            let (left_out, rest): (Vec<_>, Vec<_>) = chosen.into_iter().partition(selection::needs_python);
            sampling.skip(&left_out, &why);
            rest
        }
    };
    let (_server, chosen) = with_server(&mut sampler, &mut sampling, chosen)?;
    if !args.with_rocksdb && chosen.iter().any(|one| one.group == "log") {
        sampling.left_out("RocksDB", "--with-rocksdb builds it, which takes many minutes and libclang");
    }
    let rounds = args.rounds.map_or_else(|| rounds_of(args.measuring.scale()), usize::from);
    sampling.rounds(&sampler, &chosen, rounds)?;
    drop(scratch);

    let record = &sampling.record;
    let path = home().join("peers").join(format!("{}.json", date::stamp(record.made_at_s)));
    record.write(&path)?;
    println!("{}", record.machine.told());
    for comparison in comparisons(&record.results) {
        println!("\n{}\n{}", painted(comparison.name, Tone::Strong), painted(&comparison.work, Tone::Faint));
        println!("{}", comparison.table().shown());
    }
    println!(
        "\nRounds: {rounds}. Medians, with half of what lies between the least and the most. \"standpipe is 2.00x\": \
         it does twice the work in the\nsame time, or takes half the time or half the memory; the median of the ratios of each round, \
         and its 95% interval.\n{}",
        path.display()
    );
    sampling.outcome()
}

/// Starts what the comparisons of targets need, where any was chosen. Who needs it and can't have it is left out.
fn with_server(
    sampler: &mut Sampler,
    sampling: &mut Sampling,
    chosen: Vec<Listed>,
) -> Result<(Option<Postgres>, Vec<Listed>), String> {
    if !chosen.iter().any(server::is_needed) {
        return Ok((None, chosen));
    }
    match server::ready(&sampler.set) {
        Ok((server, mut set)) => {
            sampler.set.append(&mut set);
            Ok((server, chosen))
        }
        Err(why) => {
            super::interrupt::check()?;
            let (left_out, rest): (Vec<_>, Vec<_>) = chosen.into_iter().partition(server::is_needed);
            sampling.skip(&left_out, &why);
            Ok((None, rest))
        }
    }
}

/// The setting that tells the workloads where Python is.
const PYTHON_VENV: &str = "python.venv";

fn rounds_of(scale: Scale) -> usize {
    match scale {
        Scale::Once => 1,
        Scale::Quick => 5,
        Scale::Full => 11,
    }
}

enum Python {
    Unneeded,
    At(PathBuf),
    Missing(String),
}

fn python(args: &PeersArgs, chosen: &[Listed]) -> Result<Python, String> {
    let is_given = args.measuring.set.iter().any(|pair| pair.starts_with(PYTHON_VENV));
    if is_given || !chosen.iter().any(selection::needs_python) {
        return Ok(Python::Unneeded);
    }
    if args.no_python {
        return Ok(Python::Missing("--no-python was given".to_owned()));
    }
    let requirements = data::root().join("benches/python/requirements.txt");
    let made = venv::ready(&home().join("venv"), &requirements);
    // Interrupted is no reason to go on without it.
    super::interrupt::check()?;
    Ok(made.map_or_else(Python::Missing, Python::At))
}

/// Builds `benches/peers`, a workspace of its own, so that foreign engines are never in the default build.
fn built(with_rocksdb: bool) -> Result<PathBuf, String> {
    const PROGRAM: &str = "standpipe-peers";
    let target = data::target_dir().join("peers");
    if !target.join("release").join(PROGRAM).exists() {
        eprintln!("Building benches/peers: foreign engines and all. The first time this takes some minutes.");
    }
    let manifest = data::root().join("benches/peers/Cargo.toml");
    let programs = build::programs(&mut cargo(&manifest, &target, with_rocksdb))?;
    let found = programs.into_iter().find(|(name, _)| name == PROGRAM);
    found.map(|(_, path)| path).ok_or_else(|| format!("cargo built no {PROGRAM}"))
}

fn cargo(manifest: &Path, target: &Path, with_rocksdb: bool) -> Command {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--locked", "--message-format", "json-render-diagnostics"]);
    command.arg("--manifest-path").arg(manifest).env("CARGO_TARGET_DIR", target);
    if with_rocksdb {
        command.args(["--features", "rocksdb"]);
    }
    command
}

fn listed(chosen: &[Listed]) -> String {
    let nothing: Vec<_> = chosen.iter().map(Measured::of).collect();
    let comparisons = comparisons(&nothing);
    let mut parts: Vec<_> = comparisons
        .iter()
        .map(|comparison| {
            let mut table = Table::new(["contender", "is", "through"]);
            for one in &comparison.contenders {
                table.row([one.name, one.role.told(), one.how]);
            }
            let name = painted(comparison.name, Tone::Strong);
            format!("{name}\n{}\n{}", painted(&comparison.work, Tone::Faint), table.shown())
        })
        .collect();
    parts.push(format!("{} comparisons, {} contenders", comparisons.len(), chosen.len()));
    parts.join("\n\n")
}
