//! The conformance suite for [`Target`](standpipe_core::Target) and [`Branch`](standpipe_core::Branch).
//!
//! Each case is named by the duty it checks and panics when the duty is not done. [`run`] runs all that the target's guarantee
//! asks for. No case needs a runtime; whatever the target needs, its caller brings.

mod branching;
mod claiming;
mod compare;
mod fencing;
mod fixture;
mod guarding;
mod letters;
mod resolving;
mod tables;
mod values;
mod world;
mod writing;

use standpipe_core::Guarantee;

pub use compare::same_text;
pub use fixture::TargetFixture;

/// Names the case that fails.
struct Running<'a>(&'a str);

impl Drop for Running<'_> {
    #[allow(clippy::print_stderr)] // The panic names a line; whoever runs the suite needs the case.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the target does not pass {}", self.0);
        }
    }
}

/// What a case asks of the target.
#[derive(PartialEq)]
enum Needs {
    Nothing,
    Transactions,
}

macro_rules! cases {
    ($($needs:ident $module:ident :: $name:ident),* $(,)?) => {
        /// The names of all cases.
        pub const CASES: &[&str] = &[$(stringify!($name)),*];

        $(pub use $module::$name;)*

        /// Runs every case that the target's guarantee asks for and returns how many there were. A target that is not
        /// transactional is spared the cases about atomic commits.
        ///
        /// # Panics
        /// A duty is not done.
        pub async fn run(fixture: &dyn TargetFixture) -> usize {
            let transactional = fixture.open().await.guarantee() == Guarantee::Transactional;
            let mut ran = 0;
            $(if transactional || Needs::$needs == Needs::Nothing {
                run_case(fixture, stringify!($name)).await;
                ran += 1;
            })*
            ran
        }

        /// Runs one case by its name.
        ///
        /// # Panics
        /// A duty is not done, or there is no such case.
        pub async fn run_case(fixture: &dyn TargetFixture, name: &str) {
            let _running = Running(name);
            match name {
                $(stringify!($name) => $module::$name(fixture).await,)*
                _ => panic!("there is no case {name}"),
            }
        }
    };
}

cases! {
    Nothing claiming::target_duty_1_a_new_stream_gets_its_lanes_at_the_origin,
    Nothing claiming::target_duty_1_a_claim_raises_the_epoch_and_names_its_owner,
    Nothing claiming::target_duty_1_a_refused_claim_writes_nothing,
    Nothing claiming::target_duty_1_a_complete_source_is_left_alone_until_reopened,
    Nothing claiming::target_duty_4_a_claims_position_is_what_the_last_commit_said,
    Nothing claiming::s7_stream_ids_of_any_text_never_meet,
    Nothing claiming::s7_source_positions_of_any_text_come_back,
    Nothing claiming::ledger_lists_streams_in_order_and_changes_nothing,
    Transactions fencing::target_duty_2_a_claim_waits_for_the_commit_in_flight,
    Transactions fencing::target_duty_2_k12_a_zombie_between_check_and_write,
    Transactions fencing::target_duty_3_old_epoch_cannot_advance,
    Transactions fencing::target_duty_3_s6_a_zombie_cannot_commit_between_two_claims,
    Transactions fencing::target_duty_5_lanes_of_several_streams_move_together,
    Transactions fencing::target_duty_5_one_fenced_lane_stops_them_all,
    Transactions fencing::branch_duty_3_another_position_cannot_advance,
    Transactions fencing::branch_duty_4_a_ledger_error_is_no_row_error,
    Transactions resolving::target_duty_6_resolve_after_a_commit,
    Transactions resolving::target_duty_6_resolve_after_a_rollback,
    Transactions resolving::target_duty_6_resolve_after_being_fenced,
    Transactions resolving::target_duty_6_resolve_of_what_fits_neither_fails,
    Transactions resolving::target_duty_6_resolve_waits_for_the_commit_in_flight,
    Transactions resolving::branch_duty_5_a_lost_reply_is_in_doubt,
    Nothing guarding::target_duty_7_the_guarantee_is_kept,
    Nothing writing::target_duty_8_rows_of_a_lane_keep_their_order,
    Nothing writing::branch_duty_2_s1_bad_rows_are_named_and_the_others_stay,
    Nothing writing::branch_duty_2_s1_a_batch_of_bad_rows_alone,
    Nothing writing::branch_duty_2_blocks_of_a_batch_may_differ_in_schema,
    Transactions writing::branch_duty_2_truncate_is_part_of_the_commit,
    Nothing writing::s3_a_key_twice_in_a_batch,
    Nothing writing::modes_do_what_they_say,
    Transactions branching::branch_duty_1_nothing_is_seen_before_the_commit,
    Transactions branching::branch_duty_1_dead_letters_are_part_of_the_commit,
    Transactions branching::branch_duty_6_a_dropped_branch_leaves_nothing,
    Transactions branching::branch_duty_6_a_dropped_write_leaves_nothing,
    Transactions branching::branch_duty_7_a_failed_branch_cannot_be_committed,
    Transactions branching::s8_nothing_committed_is_never_reported_as_committed,
    Transactions branching::close_rolls_open_branches_back,
    Transactions letters::branch_duty_8_letters_are_withdrawn_and_written_in_one_commit,
    Transactions letters::branch_duty_8_a_letter_is_withdrawn_by_one_of_two,
    Transactions letters::dead_letters_come_in_pages,
    Nothing values::values_of_every_type_come_back,
    Nothing values::empty_text_null_and_unicode_come_back,
    Nothing tables::create_describe_and_add_column,
}
