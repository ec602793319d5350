//! Speed and memory of the main job, as ratios in one run: the compared things take turns, round by round, and medians
//! are held against each other.

mod command;
mod figures;

use std::path::Path;

use clap::Args;

use crate::{
    Outcome, data,
    stage::{cargo, is_there},
};
use command::{Feed, Run};
use figures::{Figures, median};

/// The arguments of `bench`.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Rounds of each comparison
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Each workload once, on the repository's sample: only to see that it runs
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(args: &BenchArgs) -> Outcome {
    cargo(&["build", "--release", "--quiet", "--package", "standpipe-cli"])?;
    cargo(&["build", "--release", "--quiet", "--package", "standpipe-wal", "--example", "group_commit"])?;
    let scratch = data::scratch("bench")?;
    let (input, whole) =
        if args.once { (data::root().join("data/flights.csv"), false) } else { data::flights(&scratch)? };
    let rounds = if args.once { 1 } else { args.rounds };
    println!(
        "flights: {} bytes{}; {rounds} rounds, taking turns; medians",
        std::fs::metadata(&input).map_or(0, |metadata| metadata.len()),
        if whole { "" } else { " (the sample, not the whole data set)" }
    );
    let mut figures = Figures::default();
    loads(&input, &scratch, rounds, &mut figures)?;
    memory(&input, &scratch, &mut figures)?;
    group_commit(&scratch, if args.once { 1 } else { 3 }, &mut figures)?;
    figures.print();
    figures.write(&data::target_dir().join("bench/figures.json"))
}

/// The whole command against Python's executemany, and through standard input against the file.
fn loads(input: &Path, scratch: &Path, rounds: usize, figures: &mut Figures) -> Outcome {
    let python = is_there("python3", "--version");
    if !python {
        println!(
            "SKIPPED: python3 is not there, so the load is not compared with its sqlite3.executemany (1 skipped)"
        );
    }
    let (mut file, mut stdin, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = 0;
    for round in 0..rounds {
        // Taking turns in both directions: what comes second is not always the same.
        for step in 0..3 {
            match (step + round) % 3 {
                0 => {
                    let run = Run::load(input, scratch, Feed::File, &[])?;
                    rows = run.rows;
                    file.push(run.seconds);
                }
                1 => stdin.push(Run::load(input, scratch, Feed::Stdin, &[])?.seconds),
                _ if python => {
                    let run = Run::python(input, scratch)?;
                    peer.push(run.seconds);
                    if run.rows != rows && rows > 0 {
                        return Err(format!("Python loaded {} rows, standpipe {rows}", run.rows));
                    }
                }
                _ => {}
            }
        }
    }
    let rate = |seconds: &[f64]| rows as f64 / median(seconds);
    figures.add("file, whole command", rate(&file), "rows/s", &file);
    figures.add("standard input through the log", rate(&stdin), "rows/s", &stdin);
    figures.ratio("standard input / file", median(&file) / median(&stdin), "at least 0.7");
    if python {
        figures.add("Python executemany, parsing left out", rate(&peer), "rows/s", &peer);
        figures.ratio("file / Python", median(&peer) / median(&file), "at least 1.2, aim 1.8");
    }
    Ok(())
}

fn memory(input: &Path, scratch: &Path, figures: &mut Figures) -> Outcome {
    for (setting, limit) in [("16MiB", "under 50 MiB"), ("64MiB", "under 100 MiB")] {
        for (feed, name) in [(Feed::File, "file"), (Feed::Stdin, "standard input")] {
            let run = Run::load(input, scratch, feed, &["--memory", setting])?;
            figures.add(
                &format!("peak memory, {name}, --memory {setting} ({limit})"),
                run.peak_mib,
                "MiB",
                &[],
            );
        }
    }
    Ok(())
}

/// 64 concurrent writers against one, each waiting for its own record to be durable.
fn group_commit(scratch: &Path, rounds: usize, figures: &mut Figures) -> Outcome {
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let [single, grouped] = command::group_commit(scratch)?;
        one.push(single);
        many.push(grouped);
    }
    figures.add("log, 1 async writer of 256 B", median(&one), "records/s", &[]);
    figures.add("log, 64 async writers of 256 B", median(&many), "records/s", &[]);
    figures.ratio("64 writers / 1 writer", median(&many) / median(&one), "at least 24");
    Ok(())
}
