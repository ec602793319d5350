//! The real command and a real PostgreSQL: clients killed, the server killed, restarted and recovered, connections cut at `COMMIT`,
//! clients paused while another takes over, the log's disk full. After each load the table is compared with one that `psql` has
//! filled from the same file: every row once, in order.

mod client;
mod full_disk;
mod ground;
mod kinds;
mod proxy;
#[cfg(test)]
mod proxy_tests;
mod table;
mod takeover;
mod tally;
mod wire;

use std::{fs, io::BufRead, io::Write, path::Path};

use ground::{Ground, Kind, Logged};
use tally::{Difference, Tally};

use super::{CrashArgs, Dice, named};
use crate::{
    Outcome, data, interrupt,
    services::{Options, Postgres},
    stage::cargo,
};

/// How often something is done to loads, by kind.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Counts {
    /// PostgreSQL: how often to kill the server [default: a fourth of --kills]
    #[arg(long)]
    pub(crate) server_kills: Option<u32>,
    /// PostgreSQL: how often to kill one of its processes, so that it recovers [default: a tenth of --kills]
    #[arg(long)]
    pub(crate) backend_kills: Option<u32>,
    /// PostgreSQL: how often to restart the server [default: a tenth of --kills]
    #[arg(long)]
    pub(crate) restarts: Option<u32>,
    /// PostgreSQL: how often to cut the connection at COMMIT [default: a fourth of --kills]
    #[arg(long)]
    pub(crate) cuts: Option<u32>,
    /// PostgreSQL: how often to pause a client while another takes over [default: a fourth of --kills]
    #[arg(long)]
    pub(crate) takeovers: Option<u32>,
    /// PostgreSQL: how often to fill the disk of the log [default: a twentieth of --kills]
    #[arg(long)]
    pub(crate) full_disks: Option<u32>,
    /// PostgreSQL: only so many rows of the data [default: all]
    #[arg(long)]
    pub(crate) rows: Option<usize>,
}

impl Counts {
    fn of(&self, kills: u32) -> [(&'static Kind, u32); 7] {
        let or = |count: Option<u32>, part: u32| count.unwrap_or(kills / part);
        [
            (&kinds::CLIENT_KILLS, kills),
            (&kinds::SERVER_KILLS, or(self.server_kills, 4)),
            (&kinds::RECOVERIES, or(self.backend_kills, 10)),
            (&kinds::RESTARTS, or(self.restarts, 10)),
            (&kinds::CUTS, or(self.cuts, 4)),
            (&takeover::TAKEOVERS, or(self.takeovers, 4)),
            (&full_disk::FULL_DISKS, or(self.full_disks, 20)),
        ]
    }
}

/// A server for a run. It works with much memory, so that comparing is fast.
pub(crate) fn server() -> Result<Postgres, crate::services::Unavailable> {
    Postgres::start(&Options { name: "crash", settings: &[("work_mem", "256MB"), ("autovacuum", "off")] })
}

pub(crate) fn run(args: &CrashArgs) -> Outcome {
    interrupt::watch()?;
    run_on(server()?, args)
}

pub(crate) fn run_on(server: Postgres, args: &CrashArgs) -> Outcome {
    cargo(&["build", "--release", "--quiet", "--package", "standpipe-cli"])?;
    let scratch = data::scratch("crash-postgres")?;
    let (path, is_whole) = data::flights(&scratch)?;
    if let Some(rows) = args.counts.rows {
        cut_short(&path, rows)?;
    }
    let binary = data::target_dir().join("release/standpipe");
    let mut ground = Ground::new(server, &binary, &path, &scratch)?;
    ground.is_stdin_only = args.stdin;
    println!(
        "seed {}: {} rows of flights{}; an undisturbed load takes {} ms and {} commits",
        args.seed,
        ground.tables.rows(),
        if is_whole { "" } else { " (the sample, repeated: the whole data set is not beside the project)" },
        ground.whole.took.as_millis(),
        ground.whole.commits,
    );
    let mut all = Difference::default();
    let mut names = Vec::new();
    for (kind, count) in args.counts.of(args.kills).into_iter().filter(|(_, count)| *count > 0) {
        if kind.name == full_disk::FULL_DISKS.name && !full_disk::can_mount(&scratch) {
            println!("{}: SKIPPED: no file system can be mounted here without root's rights", kind.name);
            continue;
        }
        let tally = disturb(&mut ground, kind, count, args)?;
        println!("{} {tally}", kind.name);
        all.add(&tally.difference);
        names.push(format!("{} {}", kind.name, tally.events));
    }
    let _ = fs::remove_dir_all(&scratch);
    println!("{}: {all}", names.join(", "));
    println!("again: {}", again(args));
    ground.server.stop()?;
    if all.is_none() { Ok(()) } else { Err("a table is not its source".into()) }
}

/// Does it so often, to as many loads as that takes, and compares each.
fn disturb(ground: &mut Ground, kind: &Kind, count: u32, args: &CrashArgs) -> Result<Tally, String> {
    let mut tally = Tally::default();
    // Some loads are over before anything happens to them.
    let loads_max = count * 4 + 16;
    while tally.events < count {
        interrupt::check()?;
        if tally.loads == loads_max {
            return Err(format!(
                "{}: {} in {loads_max} loads: the moments are never met",
                kind.name, tally.events
            ));
        }
        // Each load draws for itself: how others went changes nothing.
        let mut dice = Dice(args.seed ^ (u64::from(tally.loads) << 32) ^ (kind.short.len() as u64) << 56);
        let is_stdin = kind.log == Logged::Always || kind.log == Logged::Sometimes && dice.below(2) == 0;
        let load = ground.load(kind.short, tally.loads, is_stdin, &mut dice)?;
        let before = tally.events;
        let of_load = |error: String| format!("{}: load {}: {error}", kind.name, load.table);
        (kind.disturb)(ground, &load, &mut dice, count - tally.events, &mut tally).map_err(of_load)?;
        let difference = ground.judge(&load)?;
        tally.loads += 1;
        tally.difference.add(&difference);
        if !difference.is_none() {
            println!("{}: after {} of them: {difference}", load.table, tally.events - before);
        }
    }
    Ok(tally)
}

fn again(args: &CrashArgs) -> String {
    let mut words =
        format!("cargo xtask crash --target postgres --seed {} --kills {}", args.seed, args.kills);
    let names = ["--server-kills", "--backend-kills", "--restarts", "--cuts", "--takeovers", "--full-disks"];
    for (name, (_, count)) in names.iter().zip(args.counts.of(args.kills).into_iter().skip(1)) {
        words.push_str(&format!(" {name} {count}"));
    }
    if let Some(rows) = args.counts.rows {
        words.push_str(&format!(" --rows {rows}"));
    }
    if args.stdin { words + " --stdin" } else { words }
}

/// Leaves the header and so many rows.
fn cut_short(path: &Path, rows: usize) -> Outcome {
    let file = fs::File::open(path).map_err(named(path))?;
    let mut text = Vec::new();
    for line in std::io::BufReader::new(file).lines().take(rows + 1) {
        writeln!(text, "{}", line.map_err(named(path))?).map_err(named(path))?;
    }
    fs::write(path, text).map_err(named(path))
}
