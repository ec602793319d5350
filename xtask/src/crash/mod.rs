//! Kills the real command with SIGKILL at seeded moments, runs it again until it completes, and compares the table with the
//! source, row by row.

mod child;
mod compare;
pub(crate) mod postgres;
mod source;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;

use crate::{Outcome, data, interrupt, stage::cargo};
use child::{Ended, Load};
use postgres::Counts;
use source::Source;

/// The arguments of `crash`.
#[derive(Args, Clone)]
pub(crate) struct CrashArgs {
    /// The database
    #[arg(long, default_value = "sqlite")]
    target: String,
    /// How many times to kill
    #[arg(long, default_value_t = 100)]
    kills: u32,
    /// Chooses the moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Feed through standard input and the log, from the number that the next run prints
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    counts: Counts,
}

impl CrashArgs {
    pub(crate) fn ci(stdin: bool) -> Self {
        CrashArgs { target: "sqlite".into(), kills: 25, seed: 1, stdin, counts: Counts::default() }
    }

    /// About a minute against PostgreSQL.
    pub(crate) fn postgres_short() -> Self {
        let counts = Counts { rows: Some(60_000), ..Counts::default() };
        CrashArgs { target: "postgres".into(), kills: 20, seed: 1, stdin: false, counts }
    }

    /// As much as is claimed, against PostgreSQL.
    pub(crate) fn postgres_long(seed: u64) -> Self {
        CrashArgs { target: "postgres".into(), kills: 200, seed, stdin: false, counts: Counts::default() }
    }

    pub(crate) fn long(stdin: bool, seed: u64) -> Self {
        CrashArgs { target: "sqlite".into(), kills: 250, seed, stdin, counts: Counts::default() }
    }
}

/// What all loads came to.
#[derive(Default)]
struct Totals {
    kills: u32,
    loads: u32,
    rows: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
}

pub(crate) fn run(args: &CrashArgs) -> Outcome {
    match args.target.as_str() {
        "sqlite" => {}
        "postgres" => return postgres::run(args),
        other => return Err(format!("{other}: this version knows the targets sqlite and postgres")),
    }
    cargo(&["build", "--release", "--quiet", "--package", "standpipe-cli"])?;
    let scratch = data::scratch(if args.stdin { "crash-stdin" } else { "crash-file" })?;
    let (path, whole) = data::flights(&scratch)?;
    let source = Source::read(&path)?;
    println!(
        "{} rows of {}{}",
        source.records.len(),
        path.file_name().unwrap_or_default().to_string_lossy(),
        if whole { "" } else { " (the sample, repeated: the whole data set is not beside the project)" }
    );
    let binary = data::target_dir().join("release/standpipe");
    let whole = undisturbed(&binary, &scratch, &path, &source, args.stdin)?;
    println!("an undisturbed load takes {} ms; moments are drawn from that", whole.as_millis());
    let mut totals = Totals::default();
    let mut dice = Dice(args.seed);
    while totals.kills < args.kills {
        interrupt::check()?;
        let load = Load::new(&binary, &scratch.join(format!("load-{}", totals.loads)), &path, args.stdin)?;
        one_load(&load, &source, args, whole, &mut dice, &mut totals)?;
        load.remove()?;
    }
    let Totals { kills, loads, rows, lost, duplicated, reordered } = totals;
    println!("loads {loads}, rows out of order {reordered}");
    println!("kills {kills}, rows {rows}, lost {lost}, duplicated {duplicated}");
    if lost + duplicated + reordered > 0 { Err("the table is not the source".into()) } else { Ok(()) }
}

/// How long a load takes that nobody kills. Its table is compared too.
fn undisturbed(
    binary: &Path,
    scratch: &Path,
    path: &Path,
    source: &Source,
    stdin: bool,
) -> Result<Duration, String> {
    let load = Load::new(binary, &scratch.join("undisturbed"), path, stdin)?;
    let began = Instant::now();
    load.run(source, None)?;
    let took = began.elapsed();
    let result = compare::table(&load.database(), "flights", source)?;
    load.remove()?;
    if result.lost + result.duplicated + result.reordered > 0 || result.rows != source.records.len() as u64 {
        return Err("an undisturbed load is not the source".into());
    }
    Ok(took)
}

/// Kills one load several times, lets it complete, and compares.
fn one_load(
    load: &Load,
    source: &Source,
    args: &CrashArgs,
    whole: Duration,
    dice: &mut Dice,
    totals: &mut Totals,
) -> Outcome {
    let planned = 1 + dice.below(8) as u32;
    let planned = planned.min(args.kills - totals.kills);
    let mut killed = 0;
    let mut moments = Vec::new();
    loop {
        let moment = (killed < planned).then(|| whole.mul_f64(dice.share()));
        let began = Instant::now();
        match load.run(source, moment)? {
            Ended::Killed => {
                killed += 1;
                totals.kills += 1;
                moments.push(format!("{} ms", began.elapsed().as_millis()));
            }
            Ended::Completed => break,
        }
        if began.elapsed() > Duration::from_secs(120) {
            return Err("a load took more than two minutes".into());
        }
    }
    let result = compare::table(&load.database(), "flights", source)?;
    totals.loads += 1;
    totals.rows += result.rows;
    totals.lost += result.lost;
    totals.duplicated += result.duplicated;
    totals.reordered += result.reordered;
    println!(
        "load {}: killed at {}; {} rows, lost {}, duplicated {}",
        totals.loads,
        if moments.is_empty() { "no time".to_owned() } else { moments.join(", ") },
        result.rows,
        result.lost,
        result.duplicated
    );
    Ok(())
}

/// splitmix64: moments that can be drawn again.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Between 0 and 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Where a path is, for messages.
fn named(path: &Path) -> impl Fn(std::io::Error) -> String {
    let path: PathBuf = path.to_owned();
    move |error| format!("{}: {error}", path.display())
}
