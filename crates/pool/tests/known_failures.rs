//! The rows P1 to P11 of `docs/known-failures.md`: what each asks, holds. That each check finds its failure is shown by
//! `cargo test -p standpipe-pool --features planted,tokio --test planted`. `CANCELS=1000000` sweeps a million.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod rows;

use rows::{Checked, backend_rows, cancel_rows, queue_rows, retire_rows};

fn holds(check: impl FnOnce() -> Checked) {
    println!("{}", check().unwrap());
}

#[test]
fn p1_dials_are_few_however_many_wait() {
    holds(backend_rows::p1_down_for_10_s);
}

#[test]
fn p1_recovery_is_no_stampede() {
    holds(backend_rows::p1_no_stampede);
}

#[test]
fn p2_a_silent_peer_frees_its_place() {
    holds(backend_rows::p2_silent_peers);
}

#[test]
fn p3_a_cancel_at_any_poll_wedges_nothing() {
    holds(cancel_rows::p3_cancel_at_every_poll);
}

#[test]
fn p4_counts_are_exact_after_many_cancels() {
    let cancels = std::env::var("CANCELS").map_or(100_000, |cancels| cancels.parse().unwrap());
    holds(|| cancel_rows::p4_exact_counts(cancels));
}

#[test]
fn p5_the_true_error_reaches_all_who_wait() {
    holds(backend_rows::p5_the_true_error);
}

#[test]
fn p6_the_reaper_keeps_min_idle() {
    holds(retire_rows::p6_min_idle);
}

#[test]
fn p7_a_busy_connection_past_its_life_is_closed_on_return() {
    holds(retire_rows::p7_life_on_return);
}

#[test]
fn p8_a_cohort_is_retired_over_its_window() {
    holds(retire_rows::p8_a_cohort);
}

#[test]
fn p9_nobody_starves() {
    holds(queue_rows::p9_longest_wait);
}

#[test]
fn p10_nobody_barges() {
    holds(queue_rows::p10_order);
}

#[test]
fn p11_a_connection_under_check_survives_a_cancel() {
    holds(cancel_rows::p11_under_check);
}

#[test]
fn an_open_transaction_reaches_nobody() {
    holds(cancel_rows::an_open_transaction_reaches_nobody);
}
