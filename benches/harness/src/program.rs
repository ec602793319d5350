use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

use crate::{Context, Driver, Key, Outcome, Reserved, Scale, Settings, Workload, parse_duration};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The workloads, as JSON
    List,
    /// One sample of one workload, as a line of JSON
    Sample {
        /// The workload's name
        name: String,
        /// Where files go: a directory of its own is made in it, and removed again
        #[arg(long)]
        scratch: PathBuf,
        /// How long to measure
        #[arg(long, default_value = "500ms")]
        span: String,
        /// How much is asked
        #[arg(long, value_enum, default_value_t = Scale::Quick)]
        scale: Scale,
        /// A setting
        #[arg(long)]
        set: Vec<String>,
    },
}

/// The whole of a program of workloads: lists them, and runs one of them once. `cargo xtask bench` calls it.
#[must_use]
pub fn program(workloads: &[Workload], reserved: &[Reserved], keys: &[Key]) -> ExitCode {
    match answer(workloads, reserved, keys) {
        Ok(line) => {
            #[allow(clippy::print_stdout, reason = "its output is its interface")]
            {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "its output is its interface")]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn answer(workloads: &[Workload], reserved: &[Reserved], keys: &[Key]) -> Outcome<String> {
    match Args::parse().command {
        Command::List => {
            let listed: Vec<_> = workloads.iter().map(Workload::listed).collect();
            let keys: Vec<_> = keys.iter().map(|key| (key.name, key.says)).collect();
            let all = serde_json::json!({ "workloads": listed, "reserved": reserved, "keys": keys });
            Ok(serde_json::to_string(&all)?)
        }
        Command::Sample { name, scratch, span, scale, set } => {
            end_with_parent();
            let workload = workloads
                .iter()
                .find(|workload| workload.name == name && workload.driver == Driver::Scenario)
                .ok_or_else(|| format!("{name}: no such workload here"))?;
            let span: Duration =
                parse_duration(&span).ok_or_else(|| format!("--span {span}: write 500ms or 2s"))?;
            let dir = tempfile::Builder::new().prefix("workload-").tempdir_in(&scratch)?;
            let settings = Settings::parse(&set, keys)?;
            let context = Context { scratch: dir.path().to_owned(), scale, span, settings };
            let mut sample = (workload.run)(&context).map_err(|error| format!("{name}: {error}"))?;
            sample.settings_unused = context.settings.unused();
            if sample.figures.is_empty() {
                return Err(format!("{name}: no figure").into());
            }
            if let Some(figure) = sample.figures.iter().find(|figure| !figure.value.is_finite()) {
                return Err(format!("{name}: {} is not a number", figure.name).into());
            }
            Ok(serde_json::to_string(&sample)?)
        }
    }
}

/// Whoever started a sample and was killed can't stop it: the system does.
fn end_with_parent() {
    #[cfg(target_os = "linux")]
    {
        // Where the system refuses, the sample ends by itself when its span is over.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
}
