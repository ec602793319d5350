use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Outcome, data};

/// The stages of a run, timed against their budgets.
#[derive(Default)]
pub(crate) struct Stages {
    done: Vec<Done>,
}

struct Done {
    name: String,
    took: Duration,
    budget: Duration,
    result: Result<(), String>,
    skipped: bool,
}

impl Stages {
    /// Runs a stage and tells how it went. A stage over its budget is told, and does not fail: machines differ.
    pub(crate) fn run(&mut self, name: &str, budget_s: u64, work: impl FnOnce() -> Outcome) {
        println!("\n== {name} (budget {budget_s} s)");
        let began = Instant::now();
        let result = work();
        let took = began.elapsed();
        if let Err(message) = &result {
            println!("== {name} FAILED: {message}");
        }
        let budget = Duration::from_secs(budget_s);
        self.done.push(Done { name: name.to_owned(), took, budget, result, skipped: false });
    }

    /// Says loudly that a stage can't run here. In CI that is a failure when it is `required` there.
    pub(crate) fn skip(&mut self, name: &str, why: &str, required: bool) {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        println!("\n== {name} SKIPPED: {why}");
        let result = if required && in_ci { Err(format!("skipped in CI: {why}")) } else { Ok(()) };
        let (took, budget) = (Duration::ZERO, Duration::ZERO);
        self.done.push(Done { name: name.to_owned(), took, budget, result, skipped: true });
    }

    /// Prints the table and the verdict.
    pub(crate) fn finish(self) -> Outcome {
        println!("\n{:<34} {:>8} {:>8}  result", "stage", "took s", "budget");
        for done in &self.done {
            let result = match (&done.result, done.skipped) {
                (Err(_), _) => "FAILED",
                (Ok(()), true) => "skipped",
                (Ok(()), false) if done.took > done.budget => "passed, over its budget",
                (Ok(()), false) => "passed",
            };
            println!(
                "{:<34} {:>8.1} {:>8}  {result}",
                done.name,
                done.took.as_secs_f64(),
                done.budget.as_secs()
            );
        }
        let failed: Vec<_> =
            self.done.iter().filter(|done| done.result.is_err()).map(|d| d.name.as_str()).collect();
        let skipped = self.done.iter().filter(|done| done.skipped).count();
        println!(
            "stages: {} passed, {} failed, {skipped} skipped",
            self.done.len() - failed.len() - skipped,
            failed.len()
        );
        if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
    }
}

/// Runs `cargo` with these arguments in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Outcome {
    command("cargo", arguments, &[])
}

/// Runs a program in the workspace.
pub(crate) fn command(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    println!("$ {program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(data::root())
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} {}: {status}", arguments.join(" "))) }
}

/// Whether a program can be started at all.
pub(crate) fn is_there(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
