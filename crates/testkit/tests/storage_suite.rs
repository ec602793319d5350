//! The storage suite passes the storage in memory and finds each mistake that can be seen from outside.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use standpipe_testkit::{MemStorage, Planted, StorageMistake, storage_suite};

#[test]
fn memory_keeps_every_duty() {
    assert_eq!(storage_suite::run(MemStorage::new), 11);
}

fn panicking_cases(mistake: StorageMistake) -> Vec<&'static str> {
    storage_suite::cases()
        .into_iter()
        .filter(|(_, case)| {
            let storage = Planted::new(MemStorage::new(), mistake);
            catch_unwind(AssertUnwindSafe(|| case(&storage))).is_err()
        })
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn each_visible_mistake_is_found_by_the_case_of_its_duty() {
    for (mistake, case) in [
        (StorageMistake::CreateOpens, "duty_2_create_refuses_existing"),
        (StorageMistake::OpenCreates, "duty_2_open_refuses_missing"),
        (StorageMistake::RenameKeeps, "duty_3_rename_replaces"),
        (StorageMistake::ListRepeats, "duty_4_list_names_every_file_once"),
        (StorageMistake::LockShared, "duty_5_second_lock_would_block"),
        (StorageMistake::AnyName, "duty_6_names_are_one_component"),
        (StorageMistake::StaleReads, "file_duty_1_written_bytes_are_read_at_once"),
        (StorageMistake::WriteOverstates, "file_duty_4_counts_are_true"),
        (StorageMistake::AllocateNothing, "file_duty_5_allocate_makes_zeros"),
        (StorageMistake::DiesBeyondEnd, "file_duty_2_syncs_keep_bytes"),
    ] {
        let found = panicking_cases(mistake);
        assert!(found.contains(&case), "{mistake:?} was found by {found:?}, not by {case}");
    }
}

#[test]
fn mistakes_that_need_a_fault_are_not_seen_from_outside() {
    for mistake in [
        StorageMistake::NoDirSync,
        StorageMistake::LyingSync,
        StorageMistake::RetryingSync,
        StorageMistake::WriteErrorsIgnored,
        StorageMistake::StaysFull,
        StorageMistake::ReadsWhole,
    ] {
        assert!(panicking_cases(mistake).is_empty(), "{mistake:?}");
    }
}
