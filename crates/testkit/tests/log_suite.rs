//! The log suite passes the reference log, and each planted mistake is found by the case of its duty and by no other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use standpipe_testkit::{
    LogMistake,
    log_suite::{self, VecFixture},
};

#[test]
fn the_reference_log_keeps_every_duty() {
    let report = log_suite::run(VecFixture::new);
    assert_eq!(report.cases, 20);
    assert_eq!(report.partly, []);
}

fn panicking_cases(mistake: LogMistake) -> Vec<&'static str> {
    let make = || VecFixture::with_mistake(mistake, Duration::from_millis(400));
    log_suite::cases()
        .into_iter()
        .filter(|(_, case)| catch_unwind(AssertUnwindSafe(|| case(&make))).is_err())
        .map(|(name, _)| name)
        .collect()
}

macro_rules! found_by {
    ($($test:ident: $mistake:ident => $cases:expr;)*) => {
        $(#[test]
        fn $test() {
            assert_eq!(panicking_cases(LogMistake::$mistake), $cases);
        })*
    };
}

found_by! {
    log_1: Reorders => ["log_duty_1_numbers_follow_order"];
    log_2: ReusesNumbers => ["log_duty_2_no_number_twice"];
    log_3: LosesOnKill => ["log_duty_3_durable_means_durable"];
    log_4: HalfBatch => ["log_duty_4_all_or_none_of_a_batch"];
    log_5: ForgivesFailedSync => ["log_duty_5_one_failed_sync_ends_it"];
    log_6_and_reader_4: SkipsDamage => ["log_duty_6_torn_tail_cut_damage_reported", "reader_duty_4_damage_has_a_place"];
    log_7: TruncatesOneMore => ["log_duty_7_truncation_keeps_the_rest"];
    log_8: DropsPins => ["log_duty_8_pins_stay"];
    log_9: SharesOwnership => ["log_duty_9_one_owner"];
    log_10: FullIsFinal => ["log_duty_10_limits"];
    reader_1: LeavesOut => ["reader_duty_1_in_order_none_left_out"];
    reader_2: ShowsUndurable => ["reader_duty_2_undurable_never_shown"];
    reader_3: NeverWakes => ["reader_duty_3_waiting_reader_wakes"];
    reader_5: ReaderBlocksWriter => ["reader_duty_5_never_blocks_a_writer"];
    reader_6: JumpsTruncated => ["reader_duty_6_truncation_is_noticed"];
    reader_7: ForgetsAtClose => ["reader_duty_7_delivers_then_closed"];
    ticket_1: AcknowledgesEarly => ["ticket_duty_1_ok_means_durable"];
    ticket_2: ForgetsTickets => ["ticket_duty_2_always_resolves"];
    ticket_3: DropWithdraws => ["ticket_duty_3_dropping_withdraws_nothing"];
}
