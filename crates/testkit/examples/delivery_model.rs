//! Prints what the model of the delivery protocol covers, and how each planted mistake is found.
//!
//! `cargo run --release -p standpipe-testkit --example delivery_model` prints the tables;
//! `... -- traces` also every counterexample; `... -- large` searches several million states.
#![allow(clippy::print_stdout)]

use standpipe_testkit::model::{Bounds, Invariant, Mistake, explore, explore_for};

fn main() {
    let asked = |word: &str| std::env::args().skip(1).any(|argument| argument == word);
    sound(asked("large"));
    mistakes(asked("traces"));
}

fn sound(large: bool) {
    let mut runs = vec![
        ("log", Bounds::log()),
        ("replaced log", Bounds { restores: 0, crashes: 2, replaced_logs: 1, ..Bounds::log() }),
        ("file", Bounds::file()),
    ];
    if large {
        runs.push(("log, 4 rows", Bounds { rows: 4, crashes: 2, ..Bounds::log() }));
        runs.push(("file, 4 rows", Bounds { rows: 4, ..Bounds::file() }));
        runs.push(("file, 2 of each", Bounds { crashes: 2, lost_replies: 2, ..Bounds::file() }));
    }
    println!(
        "{:<16} {:>9} {:>11} {:>6} {:>8}  broken",
        "sound protocol", "states", "transitions", "depth", "at rest"
    );
    for (name, bounds) in runs {
        let report = explore(&bounds, None);
        let broken = report.violation.map_or("nothing", |found| found.invariant.text());
        println!(
            "{name:<16} {:>9} {:>11} {:>6} {:>8}  {broken}",
            report.states, report.transitions, report.depth, report.outcomes.at_rest
        );
    }
    println!("\ninvariants, in every state:");
    for text in Invariant::TEXTS {
        println!("  {text}");
    }
}

fn mistakes(traces: bool) {
    println!("\n{:<34} {:>5}  {:<67} {:>5}  rows", "planted mistake", "steps", "breaks first", "steps");
    for mistake in Mistake::ALL {
        let first = explore(&mistake.bounds(), Some(*mistake)).violation;
        let harm = explore_for(&mistake.bounds(), Some(*mistake), Invariant::HARM).violation;
        let (steps, broken) =
            first.as_ref().map_or((0, "not found"), |it| (it.trace.len(), it.invariant.text()));
        let (harm_steps, harm) = match harm {
            Some(it) if it.invariant == Invariant::NothingLost => {
                (it.trace.len().to_string(), "not delivered")
            }
            Some(it) if it.invariant == Invariant::LaneOrder => (it.trace.len().to_string(), "out of order"),
            Some(it) => (it.trace.len().to_string(), "doubled"),
            None => ("-".into(), "unharmed"),
        };
        let broken: String = broken.chars().take(67).collect();
        println!("{:<34} {steps:>5}  {broken:<67} {harm_steps:>5}  {harm}", format!("{mistake:?}"));
        if let Some(found) = first.filter(|_| traces) {
            found.trace.iter().for_each(|step| println!("      {step}"));
        }
    }
}
