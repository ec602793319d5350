//! The rows P1 to P11 with their failures planted inside the pool's own code: each check finds its own.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod rows;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
};

use rows::{Checked, backend_rows, cancel_rows, queue_rows, retire_rows};
use standpipe_pool::planted::{Plant, plant};

/// The switch is one for the whole process: its tests take turns.
fn finds(what: Plant, check: fn() -> Checked) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    check().unwrap();
    plant(Some(what));
    let found = catch_unwind(AssertUnwindSafe(check));
    plant(None);
    match found {
        Ok(Ok(passed)) => panic!("{what:?} was not found: {passed}"),
        Ok(Err(found)) => println!("{what:?}: {found}"),
        Err(_) => println!("{what:?}: a panic"),
    }
}

#[test]
fn p1_dialling_without_pause_is_found() {
    finds(Plant::NoBackoff, backend_rows::p1_down_for_10_s);
}

#[test]
fn p1_dialling_for_each_who_waits_is_found() {
    finds(Plant::DialForEach, backend_rows::p1_no_stampede);
}

#[test]
fn p2_a_peer_that_is_waited_for_for_ever_is_found() {
    finds(Plant::NoTimeouts, backend_rows::p2_silent_peers);
}

#[test]
fn p3_one_who_gave_up_and_is_served_is_found() {
    finds(Plant::StaysInQueue, cancel_rows::p3_cancel_at_every_poll);
}

#[test]
fn p4_a_forgotten_place_is_found() {
    finds(Plant::PlaceForgotten, || cancel_rows::p4_exact_counts(20_000));
}

#[test]
fn p5_a_hidden_error_is_found() {
    finds(Plant::ErrorHidden, backend_rows::p5_the_true_error);
}

#[test]
fn p6_a_reaper_that_ignores_min_idle_is_found() {
    finds(Plant::MinIdleIgnored, retire_rows::p6_min_idle);
}

#[test]
fn p7_a_life_that_is_ignored_on_return_is_found() {
    finds(Plant::LifeIgnored, retire_rows::p7_life_on_return);
}

#[test]
fn p8_a_cohort_that_goes_at_once_is_found() {
    finds(Plant::NoJitter, retire_rows::p8_a_cohort);
}

#[test]
fn p9_starvation_is_found() {
    finds(Plant::YoungestFirst, queue_rows::p9_longest_wait);
}

#[test]
fn p10_barging_is_found() {
    finds(Plant::Barging, queue_rows::p10_order);
}

#[test]
fn p11_a_connection_destroyed_under_check_is_found() {
    finds(Plant::CheckedDestroyed, cancel_rows::p11_under_check);
}

#[test]
fn a_skipped_reset_is_found() {
    finds(Plant::ResetSkipped, cancel_rows::an_open_transaction_reaches_nobody);
}
