//! The faults of a `MemStorage`: failing calls, short calls, panics, a full disk, lost power, and the lock.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    io::{self, ErrorKind},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use standpipe_log::{File, FileExt, Storage};
use standpipe_testkit::{Call, CallKind, Cut, Fault, MemStorage, PowerGone, Random};

/// One call of each kind, in the order of `CallKind::ALL`.
fn each_call(disk: &MemStorage) -> Vec<io::Result<()>> {
    let kept = disk.create("kept").unwrap();
    disk.create("b").unwrap();
    disk.create("c").unwrap();
    let before = disk.calls();
    let results = vec![
        disk.create("a").map(drop),
        disk.open("kept").map(drop),
        disk.rename("b", "d"),
        disk.remove("c"),
        disk.list().map(drop),
        disk.lock().map(drop),
        disk.sync_dir(),
        kept.write_at(b"bytes", 0).map(drop),
        kept.read_at(&mut [0; 4], 0).map(drop),
        kept.sync_data(),
        kept.sync_all(),
        kept.allocate(100),
        kept.len().map(drop),
    ];
    assert_eq!(disk.calls() - before, 13);
    results
}

#[test]
fn every_call_has_a_number_and_is_traced() {
    let disk = MemStorage::new();
    assert!(each_call(&disk).iter().all(Result::is_ok));
    let trace = disk.trace();
    let kinds: Vec<CallKind> = trace[3..].iter().map(|call| call.kind).collect();
    assert_eq!(kinds, CallKind::ALL);
    assert!(trace.iter().zip(1..).all(|(call, number)| call.number == number));
    let write =
        Call { number: 11, kind: CallKind::WriteAt, file: "kept".into(), to: None, offset: 0, len: 5 };
    assert_eq!(trace[10], write);
    assert_eq!(trace[5].to.as_deref(), Some("d"));
}

#[test]
fn every_kind_of_call_fails_when_planned_by_number_and_by_kind() {
    for (index, kind) in CallKind::ALL.into_iter().enumerate() {
        for fault in [Fault::EIO, Fault::ENOSPC, Fault::EINTR, Fault::Kind(ErrorKind::PermissionDenied)] {
            let by_number = MemStorage::new();
            by_number.fail_call(4 + index as u64, fault.clone());
            let by_kind = MemStorage::new();
            // Three files are created before the call that is to fail.
            by_kind.fail_nth(kind, if kind == CallKind::Create { 4 } else { 1 }, fault.clone());
            for disk in [by_number, by_kind] {
                let results = each_call(&disk);
                for (at, result) in results.iter().enumerate() {
                    assert_eq!(result.is_err(), at == index, "{kind:?} with {fault:?}: call {at}");
                }
                let error = results[index].as_ref().unwrap_err();
                match fault {
                    Fault::Os(os) => assert_eq!(error.raw_os_error(), Some(os)),
                    _ => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
                }
            }
        }
    }
}

#[test]
fn a_failed_call_changes_nothing() {
    let disk = MemStorage::new();
    disk.create("a").unwrap().write_at(b"1", 0).unwrap();
    let before = disk.fingerprint();
    for kind in CallKind::ALL {
        disk.fail_every(kind, Fault::EIO);
    }
    assert!(disk.create("b").is_err() && disk.rename("a", "c").is_err() && disk.remove("a").is_err());
    assert_eq!(disk.fingerprint(), before);
    disk.clear_faults();
    disk.rename("a", "c").unwrap();
}

#[test]
fn short_calls_say_so_and_are_carried_on() {
    let disk = MemStorage::new();
    let file = disk.create("a").unwrap();
    disk.fail_nth(CallKind::WriteAt, 1, Fault::Short(3));
    assert_eq!(file.write_at(b"12345", 0).unwrap(), 3);
    assert_eq!(disk.contents("a").unwrap(), b"123");
    disk.fail_nth(CallKind::WriteAt, 1, Fault::Short(2));
    disk.fail_nth(CallKind::WriteAt, 2, Fault::EINTR);
    file.write_all_at(b"abcde", 0).unwrap();
    let mut bytes = [0; 5];
    disk.fail_nth(CallKind::ReadAt, 1, Fault::Short(1));
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 1);
    disk.fail_nth(CallKind::ReadAt, 1, Fault::Short(2));
    assert_eq!(file.read_full_at(&mut bytes, 0).unwrap(), 5);
    assert_eq!(&bytes, b"abcde");
}

#[test]
fn a_partial_write_fails_and_leaves_a_part() {
    let disk = MemStorage::new();
    let file = disk.create("a").unwrap();
    disk.fail_nth(CallKind::WriteAt, 1, Fault::Partial { bytes: 2, os: 5 });
    assert_eq!(file.write_at(b"12345", 0).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(disk.contents("a").unwrap(), b"12");
}

#[test]
fn a_planted_panic_leaves_the_storage_usable() {
    let disk = MemStorage::new();
    let file = disk.create("a").unwrap();
    disk.fail_nth(CallKind::SyncData, 1, Fault::Panic);
    assert!(catch_unwind(AssertUnwindSafe(|| file.sync_data())).is_err());
    file.sync_data().unwrap();
}

#[test]
fn a_full_disk_refuses_until_there_is_room() {
    let disk = MemStorage::new();
    disk.capacity(10);
    let file = disk.create("a").unwrap();
    file.write_at(b"12345678", 0).unwrap();
    assert_eq!(file.write_at(b"abcd", 8).unwrap(), 2, "what fits is taken");
    assert_eq!(file.write_at(b"cd", 10).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.allocate(11).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.write_at(b"XY", 0).unwrap(), 2, "space that is reserved can be written");
    disk.capacity(11);
    file.allocate(11).unwrap();
    assert_eq!(disk.used_bytes(), 11);
    disk.remove("a").unwrap();
    assert_eq!(disk.used_bytes(), 11, "an open file keeps its space");
    drop(file);
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn without_power_every_call_fails_and_does_nothing() {
    let complete = MemStorage::new();
    each_call(&complete);
    for calls in 3..complete.calls() {
        let disk = MemStorage::new();
        disk.stop_after(calls);
        let results = each_call(&disk);
        for (result, number) in results.iter().zip(4..) {
            match result {
                Ok(()) => assert!(number <= calls),
                Err(error) => assert!(number > calls && PowerGone::is(error), "call {number}: {error}"),
            }
        }
        assert_eq!(disk.power_cut(Cut::KeepAll).create("again").map(drop).map_err(|e| e.kind()), Ok(()));
    }
}

#[test]
fn power_off_reaches_a_call_that_is_held_in_a_hook() {
    let disk = MemStorage::new();
    let file = disk.create("a").unwrap();
    file.write_at(b"1", 0).unwrap();
    disk.sync_dir().unwrap();
    let power = disk.clone();
    disk.on_call(move |_| power.power_off());
    assert!(PowerGone::is(&file.sync_data().unwrap_err()));
    assert_eq!(disk.power_cut(Cut::LoseUnsynced).contents("a").unwrap(), b"");
}

#[test]
fn hooks_see_every_call_once() {
    let disk = MemStorage::new();
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    disk.on_call(move |call| assert_eq!(count.fetch_add(1, Ordering::SeqCst) + 1, call.number));
    each_call(&disk);
    assert_eq!(seen.load(Ordering::SeqCst), disk.calls());
}

#[test]
fn the_lock_is_one_for_all_clones_and_none_after_a_crash() {
    let disk = MemStorage::new();
    let held = disk.clone().lock().unwrap();
    assert_eq!(disk.lock().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(disk.power_cut(Cut::KeepAll).lock().unwrap());
    drop(disk.process_killed().lock().unwrap());
    drop(held);
    drop(disk.lock().unwrap());
}

#[test]
fn damage_and_shortening_are_on_the_disk() {
    let disk = MemStorage::new();
    let file = disk.create("a").unwrap();
    disk.sync_dir().unwrap();
    file.write_at(b"12345", 0).unwrap();
    file.sync_all().unwrap();
    assert!(disk.damage("a", 1, b"X") && !disk.damage("b", 0, b"X"));
    assert!(disk.shorten("a", 3) && !disk.shorten("b", 3));
    assert_eq!(disk.power_cut(Cut::LoseUnsynced).contents("a").unwrap(), b"1X3");
}

#[test]
fn absurd_offsets_are_refused_not_reserved() {
    let file = MemStorage::new().create("a").unwrap();
    assert!(file.write_at(b"x", u64::MAX).is_err() && file.allocate(u64::MAX).is_err());
    assert_eq!(file.read_at(&mut [0; 4], u64::MAX).unwrap(), 0);
}

/// What is synced is always a state that every cut holds: many random scripts against a plain model.
#[test]
fn random_scripts_agree_with_a_model_of_what_is_synced() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let disk = MemStorage::new();
        let file = disk.create("a").unwrap();
        disk.sync_dir().unwrap();
        let (mut visible, mut durable) = (Vec::new(), Vec::new());
        for step in 0..40_u8 {
            if random.chance(2) {
                file.sync_data().unwrap();
                durable.clone_from(&visible);
            } else {
                let (offset, len) = (random.below(3000) as usize, 1 + random.below(1200) as usize);
                file.write_at(&vec![step + 1; len], offset as u64).unwrap();
                visible.resize(visible.len().max(offset + len), 0);
                visible[offset..offset + len].fill(step + 1);
            }
            assert_eq!(disk.contents("a").unwrap(), visible, "seed {seed}");
            assert_eq!(disk.power_cut(Cut::LoseUnsynced).contents("a").unwrap(), durable, "seed {seed}");
            assert_eq!(disk.power_cut(Cut::KeepAll).contents("a").unwrap(), visible, "seed {seed}");
        }
    }
}
