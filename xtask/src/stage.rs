use std::{
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{Outcome, data, interrupt, services::Unavailable};

/// The stages of a run, timed against their budgets.
#[derive(Default)]
pub(crate) struct Stages {
    only: Option<String>,
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
    /// Only those whose name holds this word, where one is given.
    pub(crate) fn only(word: Option<&str>) -> Self {
        Stages { only: word.map(str::to_owned), done: Vec::new() }
    }

    /// Whether a stage of this name is run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        interrupt::check().is_ok() && self.only.as_deref().is_none_or(|word| name.contains(word))
    }

    /// Runs a stage and tells how it went. A stage over its budget is told, and does not fail: machines differ.
    pub(crate) fn run(&mut self, name: &str, budget_s: u64, work: impl FnOnce() -> Outcome) {
        if !self.wants(name) {
            return;
        }
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

    /// Runs a stage that brings something, wanted by itself or not; where it can't be had, it is skipped loudly, and fails in CI.
    pub(crate) fn bring<T>(
        &mut self,
        name: &str,
        budget_s: u64,
        work: impl FnOnce() -> Result<T, Unavailable>,
    ) -> Option<T> {
        println!("\n== {name} (budget {budget_s} s)");
        let began = Instant::now();
        match work() {
            Ok(brought) => {
                let (took, budget) = (began.elapsed(), Duration::from_secs(budget_s));
                let name = name.to_owned();
                self.done.push(Done { name, took, budget, result: Ok(()), skipped: false });
                Some(brought)
            }
            Err(why) => {
                self.skip(name, &why.to_string(), true);
                None
            }
        }
    }

    /// Says loudly that a stage can't run here. In CI that is a failure when it is `required` there.
    pub(crate) fn skip(&mut self, name: &str, why: &str, required: bool) {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        println!("\n== {name} SKIPPED: {why}");
        let result = if required && in_ci { Err(format!("skipped in CI: {why}")) } else { Ok(()) };
        let (took, budget) = (Duration::ZERO, Duration::ZERO);
        self.done.push(Done { name: name.to_owned(), took, budget, result, skipped: true });
    }

    /// A failure that no stage is there for.
    pub(crate) fn fail(&mut self, name: &str, why: String) {
        println!("\n== {name} FAILED: {why}");
        let (took, budget) = (Duration::ZERO, Duration::ZERO);
        self.done.push(Done { name: name.to_owned(), took, budget, result: Err(why), skipped: false });
    }

    /// Prints the table and the verdict.
    pub(crate) fn finish(self) -> Outcome {
        interrupt::check()?;
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
        // One that is skipped where it must not be has failed.
        let skipped = self.done.iter().filter(|done| done.skipped && done.result.is_ok()).count();
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

static FOR_ALL: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Gives a variable to every program that a stage runs from here on.
pub(crate) fn set_for_all(name: &str, value: &str) {
    FOR_ALL.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), value.to_owned()));
}

/// Runs a program in the workspace.
pub(crate) fn command(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    println!("$ {program} {}", arguments.join(" "));
    let for_all = FOR_ALL.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut command = Command::new(program);
    command.args(arguments).envs(for_all).envs(environment.iter().copied()).current_dir(data::root());
    let status = interrupt::status(&mut command)?;
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
