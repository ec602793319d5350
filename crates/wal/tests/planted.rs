//! Known failures planted inside the log's own code, each found by the check of its row. Built only with the feature `planted`.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{
    PATIENCE, alloc, is_found,
    mutations::{ALLOCATION_MAX, count, inputs, lengths, run_all},
    open,
    rows::{
        IMPATIENCE, l1_everyone_hears, l4_damage_is_reported, l7_every_image_opens, l16_the_proof_is_there,
    },
    small,
};
use standpipe_testkit::MemStorage;
use standpipe_wal::{
    Log, Settings,
    planted::{Plant, plant},
};

#[global_allocator]
static ALLOCATOR: alloc::Watched = alloc::Watched;

/// The switch is one for the whole process: its tests take turns.
struct Turn(#[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Turn {
    fn take() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        Turn(TURN.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn with<T>(&self, what: Plant, check: impl FnOnce() -> Result<T, String>) {
        plant(Some(what));
        let found = is_found(check);
        plant(None);
        found.unwrap();
    }
}

#[test]
fn l1_forgotten_waiters_are_found() {
    let turn = Turn::take();
    l1_everyone_hears(|log| log, PATIENCE).unwrap();
    turn.with(Plant::ForgetsWaiters, || l1_everyone_hears(|log| log, IMPATIENCE));
}

#[test]
fn l4_damage_that_is_cut_is_found() {
    let turn = Turn::take();
    println!("flips {}", l4_damage_is_reported().unwrap());
    turn.with(Plant::CutsDamage, l4_damage_is_reported);
}

#[test]
fn l7_a_refused_torn_tail_is_found() {
    let turn = Turn::take();
    l7_every_image_opens(|disk| disk).unwrap();
    turn.with(Plant::RefusesTornTails, || l7_every_image_opens(|disk| disk));
}

#[test]
fn l14_a_believed_length_is_found() {
    let turn = Turn::take();
    let check = || lengths(&[64 << 20], ALLOCATION_MAX);
    println!("lengths {}", check().unwrap());
    turn.with(Plant::BelievesLengths, check);
}

#[test]
fn l16_a_proof_that_follows_a_setting_is_found() {
    let turn = Turn::take();
    let check = || l16_the_proof_is_there(Settings { idle_proof: None, ..small() });
    check().unwrap();
    turn.with(Plant::ProofFollowsSetting, check);
}

/// No failure: with checksums out of the way, mutated bytes reach the records, and still nothing panics or grows.
#[test]
fn l14_mutations_behind_the_checksums_are_refused_in_bounded_memory() {
    let _turn = Turn::take();
    let inputs = inputs(count());
    plant(Some(Plant::SkipsChecksums));
    let tally = run_all(&inputs);
    plant(None);
    println!("{tally:?}");
    assert!(tally.largest <= ALLOCATION_MAX, "{} bytes at once", tally.largest);
    assert!(tally.opened > 0 && tally.refused > 0);
}

#[test]
fn nothing_is_planted_unless_it_is_asked_for() {
    let _turn = Turn::take();
    let disk = MemStorage::new();
    open(&disk).unwrap().close().unwrap();
}
