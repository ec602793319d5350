//! The delivery protocol holds in every state within the bounds, every planted mistake is found, and every invariant
//! is broken by one. `docs/delivery.md`, "The model", says what is modelled.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use standpipe_testkit::model::{Bounds, Invariant, Mistake, Report, explore, explore_for};

fn sound(name: &str, bounds: &Bounds) -> Report {
    let report = explore(bounds, None);
    println!("{name}: {bounds:?}");
    println!("    states {}, transitions {}, depth {}", report.states, report.transitions, report.depth);
    println!("    {:?}", report.outcomes);
    println!("    invariants held: {}", report.invariants.join("; "));
    if let Some(violation) = &report.violation {
        panic!("{name}: broken: {}\n{:#?}", violation.invariant.text(), violation.trace);
    }
    report
}

#[test]
fn a_log_delivers_each_row_once() {
    let report = sound("log", &Bounds::log());
    assert!(report.states > 200_000, "the model shrank to {} states", report.states);
    assert!(report.outcomes.gap > 0 && report.outcomes.replayed > 0, "a restore goes both ways");
    assert!(report.outcomes.gap > report.outcomes.gap_unsure, "gaps with something missing are met");
}

#[test]
fn a_log_that_is_replaced_is_refused_by_name() {
    let bounds = Bounds { restores: 0, crashes: 2, replaced_logs: 1, ..Bounds::log() };
    let report = sound("replaced log", &bounds);
    assert!(report.outcomes.wrong_source > 0);
}

#[test]
fn a_file_delivers_each_row_once() {
    let report = sound("file", &Bounds::file());
    assert!(report.states > 500_000, "the model shrank to {} states", report.states);
    assert!(report.outcomes.fenced > 0, "zombies were fenced");
    assert!(report.outcomes.replayed > 0, "a restored database was filled again");
    assert_eq!(report.outcomes.gap, 0, "a file has every position");
}

// K12 and S6 are `LedgerCheckedBeforeBranchOnly`, S8 is `InDoubtGuessedAsCommitted`, L3 is `RetriedFsync`.
#[test]
fn every_planted_mistake_is_found() {
    for mistake in Mistake::ALL {
        assert!(explore(&mistake.bounds(), None).violation.is_none(), "{mistake:?}: sound without it");
        let report = explore(&mistake.bounds(), Some(*mistake));
        let found = report.violation;
        let found = found.unwrap_or_else(|| panic!("{mistake:?} is not found in {} states", report.states));
        println!("{mistake:?}: {}", mistake.text());
        println!("  breaks: {} ({} steps)", found.invariant.text(), found.trace.len());
        for step in &found.trace {
            println!("    {step}");
        }
        assert!(found.trace.len() <= 20, "{mistake:?}: {} steps is no short trace", found.trace.len());
    }
}

// What the sink did once: the rows of a restored database were gone, and nobody said so.
#[test]
fn a_stale_floor_loses_acknowledged_rows_in_silence() {
    let mistake = Mistake::StaleFloor;
    let found = explore_for(&mistake.bounds(), Some(mistake), &[Invariant::NothingLost]).violation.unwrap();
    println!("{}", found.trace.join("\n"));
    let place = |start: &str| found.trace.iter().rposition(|step| step.starts_with(start));
    let (moved_on, restored) = (place("truncate the log"), place("the database is restored"));
    assert!(moved_on.is_some() && moved_on < restored && restored < place("owner 0 claims: epoch 2"));
    assert!(found.trace.len() <= 25, "{} steps", found.trace.len());
}

#[test]
fn every_invariant_is_broken_by_a_mistake() {
    for invariant in Invariant::ALL {
        let mistake = breaker(*invariant);
        // A single lane never stands still while the log goes on, and has no floor.
        let lanes = if mistake == Mistake::StaleFloor { 2 } else { 1 };
        let bounds = Bounds { lanes, ..mistake.bounds() };
        let found = explore_for(&bounds, Some(mistake), &[*invariant]).violation;
        let found = found.unwrap_or_else(|| panic!("{mistake:?} does not break {invariant:?}"));
        println!("{invariant:?}: {mistake:?} in {} steps", found.trace.len());
    }
}

fn breaker(invariant: Invariant) -> Mistake {
    match invariant {
        Invariant::AtMostOnce => Mistake::PositionOutsideTransaction,
        Invariant::LaneOrder => Mistake::UnconditionalLedgerUpdate,
        Invariant::NothingLost => Mistake::GapIgnored,
        Invariant::AcknowledgedIsDurable => Mistake::RetriedFsync,
        Invariant::AppliedIsDurable => Mistake::AppliedBeforeDurable,
        Invariant::FencedStaysOut => Mistake::FencedOwnerClaimsAgain,
        Invariant::NumberOnce => Mistake::LsnReusedAfterCrash,
        Invariant::PositionTellsTable => Mistake::PositionOutsideTransaction,
        Invariant::ReportedIsApplied => Mistake::InDoubtGuessedAsCommitted,
        Invariant::ClaimIsFinal => Mistake::ClaimDoesNotWaitForCommitInFlight,
        Invariant::LogKeepsWaiting => Mistake::TruncatedBeforeApplied,
        Invariant::FloorHidesNothing => Mistake::StaleFloor,
        Invariant::RefusalIsTrue => Mistake::SourceIgnored,
        Invariant::NobodyWaits => Mistake::InDoubtNeverResolved,
    }
}

#[test]
#[should_panic(expected = "a log is locked")]
fn takeovers_of_a_log_are_refused() {
    let _ = explore(&Bounds { takeovers: 1, ..Bounds::log() }, None);
}
