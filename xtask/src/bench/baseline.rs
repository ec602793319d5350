//! Keeps figures under a name.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{
    args::Measuring,
    date, home,
    judge::Limits,
    record::Record,
    run::{measured, shown},
    summary,
    table::{Table, Tone, painted},
    units,
    verdicts::spread,
};
use crate::Outcome;

/// The arguments of `bench baseline`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BaselineArgs {
    /// The baseline's name: letters, digits, `-`, `_` and `.`
    #[arg(required_unless_present = "list", value_parser = name)]
    name: Option<String>,
    #[command(flatten)]
    measuring: Measuring,
    /// How often each workload is measured
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u32).range(5..=1000))]
    rounds: u32,
    /// Only list the baselines that there are
    #[arg(long)]
    list: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench baseline main                 the quick set, 7 rounds
  cargo xtask bench baseline log --group log      one group
  cargo xtask bench baseline --list               those there are

A baseline is for this machine and for today: for a change, `bench ab REV` is the one to trust.

Exit codes: 0 kept, 2 a workload failed or nothing could be measured (and nothing is kept), 130 interrupted";

pub(crate) fn run(args: &BaselineArgs) -> Outcome {
    let Some(name) = args.name.as_deref().filter(|_| !args.list) else { return listed() };
    let (record, outcome) = measured(&args.measuring, args.rounds)?;
    // Half a baseline would be held against later as if it were one.
    outcome?;
    let file = file(name);
    record.write(&file)?;
    println!("{}", summary::shown(&record.results));
    let rough = rough(&record);
    if !rough.is_empty() {
        let text = format!(
            "WARNING: too rough to hold anything against, was something else running? {}",
            rough.join(", ")
        );
        println!("\n{}", painted(&text, Tone::Warning));
    }
    println!(
        "\nkept {}, {} of {} ms, of {} in {}\nhold a later tree against it: cargo xtask bench compare {name}",
        units::times(record.results.len(), "workload"),
        units::times(args.rounds as usize, "round"),
        record.span_ms,
        record.commit.id,
        shown(&file),
    );
    Ok(())
}

/// The figures whose own quarters lie further apart than the limits that `compare` has by itself.
fn rough(record: &Record) -> Vec<String> {
    let mut rough = Vec::new();
    for measured in &record.results {
        for series in &measured.figures {
            if Limits::default().of(series.kind).is_some_and(|limit| spread(&series.values) > limit) {
                rough.push(format!("{} {}", measured.workload, series.name));
            }
        }
    }
    rough
}

/// Reads a baseline; when there is none of this name, says which there are.
pub(crate) fn read(name: &str) -> Result<Record, String> {
    let file = file(name);
    if !file.exists() {
        let there = names().join(", ");
        let there = if there.is_empty() { "none yet; `bench baseline NAME` makes one" } else { &there };
        return Err(format!("no baseline {name}; there are: {there}"));
    }
    Record::read(&file)
}

/// Checks a name before it becomes a file's.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let starts = text.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    if starts && text.len() <= 64 && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("up to 64 letters, digits, `-`, `_` and `.`, a letter or digit first".to_owned())
    }
}

/// The names there are, sorted.
pub(crate) fn names() -> Vec<String> {
    let entries = fs::read_dir(folder()).into_iter().flatten().flatten();
    let names =
        entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()));
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn listed() -> Outcome {
    let mut table = Table::new(["baseline", "made", "commit", "workloads", "set", "machine"]).right(3);
    for name in names() {
        match Record::read(&file(&name)) {
            Ok(record) => table.row([
                name,
                date::told(record.made_at_s),
                record.commit.id + if record.commit.dirty { " with changes" } else { "" },
                record.results.len().to_string(),
                [record.scale].into_iter().chain(record.settings).collect::<Vec<_>>().join(" "),
                format!("{}, {} cores", record.machine.cpu, record.machine.cores),
            ]),
            Err(error) => table.row([name, error]),
        }
    }
    if table.is_empty() {
        println!("no baselines yet; `cargo xtask bench baseline NAME` makes one");
    } else {
        println!("{}", table.shown());
    }
    Ok(())
}

fn folder() -> PathBuf {
    home().join("baselines")
}

fn file(name: &str) -> PathBuf {
    folder().join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_folder() {
        for fits in ["main", "v1.2-rc_3", "2026"] {
            assert_eq!(name(fits).as_deref(), Ok(fits));
        }
        for odd in ["", "..", ".hidden", "a/b", "a b", "ä", "-rf", &"x".repeat(65)] {
            assert!(name(odd).is_err(), "{odd}");
        }
    }
}
