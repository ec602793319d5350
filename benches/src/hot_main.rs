//! A hot path, so many times, for callgrind: `standpipe-hot NAME ITERATIONS`; `standpipe-hot list` names them.
//!
//! What it prints is the checked result. Setting up costs instructions too: whoever counts runs it with N and with 2N
//! iterations and takes the difference.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its interface")]

use std::process::ExitCode;

use standpipe_benches::hot;
use standpipe_harness::Outcome;

fn main() -> ExitCode {
    match answer(std::env::args().skip(1)) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(mut arguments: impl Iterator<Item = String>) -> Outcome<String> {
    let usage = "standpipe-hot list | standpipe-hot NAME ITERATIONS";
    let name = arguments.next().ok_or(usage)?;
    if name == "list" {
        return Ok(hot::ALL.iter().map(|hot| hot.name).collect::<Vec<_>>().join("\n"));
    }
    let iterations = arguments.next().ok_or(usage)?;
    let iterations = iterations.parse().map_err(|error| format!("{iterations}: {error}"))?;
    let hot = hot::named(&name).ok_or_else(|| format!("{name}: no such hot path; see the list"))?;
    Ok(hot.prepare()?.run(iterations)?.to_string())
}
