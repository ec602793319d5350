//! The simulated target passes the suite, and each planted mistake is found by the case that is there for it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use standpipe_core::{Guarantee, TableName, Target, async_trait};
use standpipe_testkit::{
    SimTarget, TargetFixture, block_on,
    target::{CallKind, Fault, Mistake, Value},
    target_suite::{CASES, run, run_case},
};

struct SimFixture(SimTarget);

#[async_trait]
impl TargetFixture for SimFixture {
    async fn open(&self) -> Arc<dyn Target> {
        Arc::new(self.0.connect())
    }

    async fn rows(&self, table: &TableName) -> Vec<Vec<Option<String>>> {
        let letters = self.0.dead_letters();
        let letters = letters
            .iter()
            .filter(|(kept_in, _)| kept_in == table)
            .map(|(_, letter)| vec![Some(letter.position.to_string()), Some(letter.reason.clone())]);
        let rows = self.0.values(table);
        rows.iter().map(|row| row.iter().map(Value::to_text).collect()).chain(letters).collect()
    }

    fn lose_next_commit(&self, committed: bool) -> bool {
        self.0.fail_nth(CallKind::Commit, 1, Fault::in_doubt(committed));
        true
    }
}

#[test]
fn the_simulated_target_passes() {
    assert_eq!(block_on(run(&SimFixture(SimTarget::new()))), CASES.len());
}

#[test]
fn it_passes_with_a_lock_timeout() {
    let target = SimTarget::new();
    target.set_lock_polls(Some(4));
    assert_eq!(block_on(run(&SimFixture(target))), CASES.len());
}

#[test]
fn a_target_that_promises_less_is_asked_less() {
    let target = SimTarget::new();
    target.set_guarantee(Guarantee::AtLeastOnce);
    let ran = block_on(run(&SimFixture(target)));
    assert!(ran > 10 && ran < CASES.len(), "{ran}");
    let target = SimTarget::new();
    target.set_guarantee(Guarantee::Idempotent(vec!["id".into(), "part".into()]));
    assert_eq!(block_on(run(&SimFixture(target))), ran);
}

fn fails(mistake: Mistake, case: &str) -> bool {
    let target = SimTarget::new();
    target.plant(mistake);
    let fixture = SimFixture(target);
    catch_unwind(AssertUnwindSafe(|| block_on(run_case(&fixture, case)))).is_err()
}

/// The cases that are there for each mistake; the other cases may find it too.
fn cases_for(mistake: Mistake) -> &'static [&'static str] {
    match mistake {
        Mistake::UnconditionalAdvance => &[
            "target_duty_3_old_epoch_cannot_advance",
            "target_duty_3_s6_a_zombie_cannot_commit_between_two_claims",
            "target_duty_2_k12_a_zombie_between_check_and_write",
            "target_duty_5_one_fenced_lane_stops_them_all",
        ],
        Mistake::PositionNotChecked => &["branch_duty_3_another_position_cannot_advance"],
        Mistake::CommitWithoutLedger => &["target_duty_4_a_claims_position_is_what_the_last_commit_said"],
        Mistake::ClaimDoesNotWait => &["target_duty_2_a_claim_waits_for_the_commit_in_flight"],
        Mistake::HalfCommit => &["target_duty_5_lanes_of_several_streams_move_together"],
        Mistake::SwallowCommitError => &["s8_nothing_committed_is_never_reported_as_committed"],
        Mistake::TruthlessResolve => &[
            "target_duty_6_resolve_after_a_rollback",
            "target_duty_6_resolve_after_being_fenced",
            "target_duty_6_resolve_of_what_fits_neither_fails",
        ],
        Mistake::ResolveDoesNotWait => &["target_duty_6_resolve_waits_for_the_commit_in_flight"],
        Mistake::ClaimWritesBeforeJudging => &["target_duty_1_a_refused_claim_writes_nothing"],
        Mistake::ClaimTouchesComplete => &["target_duty_1_a_complete_source_is_left_alone_until_reopened"],
        Mistake::DropsRejects | Mistake::RejectsWholeBatch => {
            &["branch_duty_2_s1_bad_rows_are_named_and_the_others_stay"]
        }
        Mistake::WritesAtOnce => &[
            "branch_duty_1_nothing_is_seen_before_the_commit",
            "branch_duty_6_a_dropped_write_leaves_nothing",
            "target_duty_7_the_guarantee_is_kept",
        ],
        Mistake::TruncatesAtOnce => &["branch_duty_2_truncate_is_part_of_the_commit"],
        Mistake::Reorders => &["target_duty_8_rows_of_a_lane_keep_their_order"],
        Mistake::LettersAtOnce => &["branch_duty_1_dead_letters_are_part_of_the_commit"],
        Mistake::WithdrawsAtOnce => &["branch_duty_8_letters_are_withdrawn_and_written_in_one_commit"],
        Mistake::WithdrawDoesNotWait => &["branch_duty_8_a_letter_is_withdrawn_by_one_of_two"],
        Mistake::WithdrawCountsWhatWasAsked => &[
            "branch_duty_8_letters_are_withdrawn_and_written_in_one_commit",
            "branch_duty_8_a_letter_is_withdrawn_by_one_of_two",
        ],
        Mistake::PagesOverlap => &["dead_letters_come_in_pages"],
        Mistake::CommitsOnDrop => &["branch_duty_6_a_dropped_branch_leaves_nothing"],
        Mistake::CommitsAfterFailure => &["branch_duty_7_a_failed_branch_cannot_be_committed"],
        Mistake::CutsStreamIds | Mistake::FoldsStreamIds => &["s7_stream_ids_of_any_text_never_meet"],
        Mistake::EmptyIsNull => &["empty_text_null_and_unicode_come_back"],
        Mistake::CloseKeepsBranches => &["close_rolls_open_branches_back"],
        Mistake::DoubtIsFailure => &["branch_duty_5_a_lost_reply_is_in_doubt"],
    }
}

#[test]
fn each_planted_mistake_is_found_by_its_case() {
    let missed: Vec<_> = Mistake::ALL
        .into_iter()
        .flat_map(|mistake| cases_for(mistake).iter().map(move |case| (mistake, case)))
        .filter(|(mistake, case)| !fails(*mistake, case))
        .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
