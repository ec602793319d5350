//! One page with plots, and the tables of docs/benchmarks.md.

mod data;
mod family;
#[cfg(test)]
mod fixture;
mod html;
mod page;
mod sections;
mod svg;
mod tables;

use std::{fs, path::PathBuf};

use clap::Args;

use self::data::Data;
use super::{home, run::shown};
use crate::data::root;

/// The arguments of `bench report`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReportArgs {
    /// A record of `bench run`; the newest when none is given. Another one adds the workloads that the first lacks
    #[arg(long, value_name = "FILE")]
    run: Vec<PathBuf>,
    /// A record of `bench peers`, in the same way
    #[arg(long, value_name = "FILE")]
    peers: Vec<PathBuf>,
    /// Where the page goes [default: target/bench/report.html]
    #[arg(long, value_name = "FILE", conflicts_with = "tables")]
    output: Option<PathBuf>,
    /// Print the tables of docs/benchmarks.md instead of making a page
    #[arg(long)]
    tables: bool,
    /// With --tables: write them into docs/benchmarks.md, between their marks
    #[arg(long, requires = "tables")]
    write: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench report                           target/bench/report.html from the newest records
  cargo xtask bench report --tables --write          the tables of docs/benchmarks.md

Exit codes: 0 done, 2 there is no record, or one can't be read";

pub(crate) fn run(args: &ReportArgs) -> crate::Outcome {
    let data = Data::read(&args.run, &args.peers)?;
    if args.tables {
        return print_tables(&data, args.write);
    }
    let output = args.output.clone().unwrap_or_else(|| home().join("report.html"));
    let failed = |error: std::io::Error| format!("{}: {error}", output.display());
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(&output, page::html(&data)).map_err(failed)?;
    for missing in data.missing() {
        eprintln!("{missing}");
    }
    println!("{}", shown(&output));
    Ok(())
}

fn print_tables(data: &Data, write: bool) -> crate::Outcome {
    let tables = tables::all(data);
    if tables.is_empty() {
        return Err(data.missing().join("\n"));
    }
    if !write {
        for (name, text) in &tables {
            println!("<!-- bench:{name} -->\n{text}\n<!-- /bench:{name} -->\n");
        }
        return Ok(());
    }
    let path = root().join("docs/benchmarks.md");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let old = fs::read_to_string(&path).map_err(failed)?;
    let tables::Placed { text, placed, kept } = tables::placed(&old, &tables)?;
    fs::write(&path, text).map_err(failed)?;
    println!("{}: {}", path.display(), placed.join(", "));
    if !kept.is_empty() {
        println!("not measured, and left as they were: {}", kept.join(", "));
    }
    Ok(())
}
