//! Conformance suite for [`Log`](standpipe_log::Log), [`Reader`](standpipe_log::Reader) and
//! [`Ticket`](standpipe_log::Ticket): one case for each duty, named for it, that panics with the duty's number and text.
//!
//! The cases know nothing of how a log is built; what they need done to its disk they ask of a [`LogFixture`].

mod fixture;
mod log_cases;
mod mem_fixture;
mod reader_cases;
mod steps;
mod ticket_cases;
mod vec_fixture;

pub use fixture::{Crash, LogFixture};
pub use log_cases::*;
pub use mem_fixture::MemFixture;
pub use reader_cases::*;
pub use ticket_cases::*;
pub use vec_fixture::VecFixture;

/// A case: its name, and the check, which makes as many fresh places as it needs.
pub type Case<F> = (&'static str, fn(&dyn Fn() -> F) -> Verdict);

/// How much of a duty a case could check. A broken duty is a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that the case is for.
    Checked,
    /// Not all: the fixture could not do what is named here.
    Partly(&'static str),
}

/// What a run of the suite checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many cases ran.
    pub cases: usize,
    /// The cases that could not check all, and what was missing.
    pub partly: Vec<(&'static str, &'static str)>,
}

/// Runs every case, each on places that `make` makes for it.
///
/// ```
/// use standpipe_testkit::log_suite::{self, VecFixture};
/// let report = log_suite::run(VecFixture::new);
/// assert_eq!((report.cases, report.partly.len()), (20, 0));
/// ```
///
/// # Panics
/// When a case finds a broken duty, with the duty's number and text.
pub fn run<F: LogFixture>(make: impl Fn() -> F) -> Report {
    let cases = cases::<F>();
    let mut partly = Vec::new();
    for (name, check) in &cases {
        if let Verdict::Partly(missing) = check(&make) {
            partly.push((*name, missing));
        }
    }
    Report { cases: cases.len(), partly }
}

/// Every case, for those who want to run them one by one.
#[must_use]
pub fn cases<F: LogFixture>() -> Vec<Case<F>> {
    vec![
        ("log_duty_1_numbers_follow_order", log_duty_1_numbers_follow_order),
        ("log_duty_2_no_number_twice", log_duty_2_no_number_twice),
        ("log_duty_3_durable_means_durable", log_duty_3_durable_means_durable),
        ("log_duty_4_all_or_none_of_a_batch", log_duty_4_all_or_none_of_a_batch),
        ("log_duty_5_one_failed_sync_ends_it", log_duty_5_one_failed_sync_ends_it),
        ("log_duty_6_torn_tail_cut_damage_reported", log_duty_6_torn_tail_cut_damage_reported),
        ("log_duty_7_truncation_keeps_the_rest", log_duty_7_truncation_keeps_the_rest),
        ("log_duty_8_pins_stay", log_duty_8_pins_stay),
        ("log_duty_9_one_owner", log_duty_9_one_owner),
        ("log_duty_10_limits", log_duty_10_limits),
        ("reader_duty_1_in_order_none_left_out", reader_duty_1_in_order_none_left_out),
        ("reader_duty_2_undurable_never_shown", reader_duty_2_undurable_never_shown),
        ("reader_duty_3_waiting_reader_wakes", reader_duty_3_waiting_reader_wakes),
        ("reader_duty_4_damage_has_a_place", reader_duty_4_damage_has_a_place),
        ("reader_duty_5_never_blocks_a_writer", reader_duty_5_never_blocks_a_writer),
        ("reader_duty_6_truncation_is_noticed", reader_duty_6_truncation_is_noticed),
        ("reader_duty_7_delivers_then_closed", reader_duty_7_delivers_then_closed),
        ("ticket_duty_1_ok_means_durable", ticket_duty_1_ok_means_durable),
        ("ticket_duty_2_always_resolves", ticket_duty_2_always_resolves),
        ("ticket_duty_3_dropping_withdraws_nothing", ticket_duty_3_dropping_withdraws_nothing),
    ]
}
