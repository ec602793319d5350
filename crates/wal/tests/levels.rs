//! What a single append may ask for beside what its log promises.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use common::{PATIENCE, append, open_with, payload, read_all, small};
use standpipe_testkit::{CallKind, Cut, MemStorage};
use standpipe_wal::{Durability, Log, Reader, Record, Settings, Ticket, Wal};

/// A log, and a count of its syncs.
fn watched(settings: Settings) -> (MemStorage, Wal<MemStorage>, Arc<AtomicU64>) {
    let disk = MemStorage::new();
    let log = open_with(&disk, Settings { segment_bytes: 256 << 10, ..settings }).unwrap();
    let syncs = Arc::new(AtomicU64::new(0));
    let counted = syncs.clone();
    disk.on_call(move |call| {
        if call.kind == CallKind::SyncData {
            counted.fetch_add(1, SeqCst);
        }
    });
    (disk, log, syncs)
}

#[test]
fn a_weaker_append_waits_for_no_sync_and_is_shown_after_one() {
    let (disk, log, syncs) = watched(small());
    let weak = || log.append_with(Record::new(&[b"weak"]), Durability::Os).unwrap().wait().unwrap();
    // The first one notes on disk that others will be told before they are there.
    weak();
    assert_eq!(syncs.load(SeqCst), 1);
    let told = weak();
    assert_eq!(syncs.load(SeqCst), 1);
    assert_eq!(log.durable_end(), told, "not synced, so not shown");
    assert_eq!(read_all(&log).unwrap().len(), 1);
    // A process that dies loses nothing; power loss may.
    assert_eq!(read_all(&common::open(&disk.process_killed()).unwrap()).unwrap().len(), 2);
    let after = common::open(&disk.power_cut(Cut::LoseUnsynced)).unwrap();
    assert_eq!(read_all(&after).unwrap().len(), 1);
    assert!(after.end() > told, "its number was told: it is not given again");
    // The next that syncs takes it along.
    append(&log, b"strong").unwrap();
    assert_eq!(syncs.load(SeqCst), 2);
    assert_eq!(read_all(&log).unwrap().len(), 3);
    assert_eq!(read_all(&common::open(&disk.power_cut(Cut::LoseUnsynced)).unwrap()).unwrap().len(), 3);
}

#[test]
fn a_weaker_append_is_synced_and_shown_before_long_when_nothing_else_comes() {
    let (_disk, log, syncs) = watched(small());
    let lsn = log.append_with(Record::new(&[b"weak"]), Durability::Os).unwrap().wait().unwrap();
    let mut reader = log.follow(lsn).unwrap();
    let entry = reader.next(PATIENCE).unwrap().unwrap();
    assert_eq!((entry.lsn, entry.payload), (lsn, &b"weak"[..]));
    assert_eq!(syncs.load(SeqCst), 1);
}

#[test]
fn a_stronger_append_is_synced_in_a_log_that_does_not_sync() {
    let (disk, log, syncs) = watched(Settings { durability: Durability::Os, ..small() });
    append(&log, b"weak").unwrap();
    assert_eq!(syncs.load(SeqCst), 0);
    for level in [Durability::Group, Durability::Sync] {
        let before = syncs.load(SeqCst);
        let strong = log.append_with(Record::new(&[b"strong"]), level).unwrap().wait().unwrap();
        assert_eq!(syncs.load(SeqCst), before + 1);
        let left = read_all(&common::open(&disk.power_cut(Cut::LoseUnsynced)).unwrap()).unwrap();
        assert_eq!(left.last().map(|record| record.0), Some(strong.number()));
    }
    append(&log, b"weak again").unwrap();
    assert_eq!(syncs.load(SeqCst), 2);
    log.sync().unwrap();
    assert_eq!(syncs.load(SeqCst), 3);
    let left = read_all(&common::open(&disk.power_cut(Cut::LoseUnsynced)).unwrap()).unwrap();
    assert_eq!(left.len(), 4);
}

#[test]
fn what_is_synced_is_never_written_to_again() {
    // Every write lies on pages that no sync has covered, whatever the levels are mixed to.
    let disk = MemStorage::new();
    let synced = Arc::new(std::sync::Mutex::new((std::collections::HashMap::<String, u64>::new(), 0_u64)));
    let seen = synced.clone();
    disk.on_call(move |call| {
        let mut state = seen.lock().unwrap();
        match call.kind {
            CallKind::WriteAt if call.offset >= 4096 => {
                let written = state.0.get(&call.file).copied().unwrap_or(0);
                if call.offset < written / (1 << 20) {
                    state.1 += 1;
                }
                let end = (call.offset + call.len).max(written % (1 << 20));
                state.0.insert(call.file.clone(), written / (1 << 20) * (1 << 20) + end);
            }
            CallKind::SyncData => {
                let written = state.0.get(&call.file).copied().unwrap_or(0) % (1 << 20);
                let page = written.next_multiple_of(4096);
                state.0.insert(call.file.clone(), page * (1 << 20) + written);
            }
            // The segment was made of zeros; from here on it is written.
            CallKind::SyncAll => {
                state.0.insert(call.file.clone(), 0);
            }
            _ => {}
        }
    });
    let log = open_with(&disk, Settings { segment_bytes: 128 << 10, ..small() }).unwrap();
    let levels =
        [Durability::Os, Durability::Group, Durability::Periodic(PATIENCE), Durability::Os, Durability::Sync];
    for number in 0..200_u64 {
        let level = levels[number as usize % levels.len()];
        let bytes = payload(number, 10 + number as usize * 7 % 900);
        log.append_with(Record::new(&[&bytes]), level).unwrap().wait().unwrap();
    }
    log.close().unwrap();
    let state = synced.lock().unwrap();
    assert!(state.0.len() > 2, "several segments");
    assert_eq!(state.1, 0, "a page was written to after it was synced");
}

#[test]
fn what_nobody_waits_for_is_written_all_the_same() {
    let (_disk, log, _) = watched(small());
    let kept = log.append(Record::new(&[b"kept"])).unwrap();
    drop(log.append(Record::new(&[b"dropped"])).unwrap());
    let deadline = Instant::now() + PATIENCE;
    while log.durable_end().number() < 3 {
        assert!(Instant::now() < deadline, "nobody saw to it");
        std::thread::yield_now();
    }
    // A ticket that is only kept is seen to as well.
    let alone = log.append(Record::new(&[b"alone"])).unwrap();
    while log.durable_end() <= alone.lsn() {
        assert!(Instant::now() < deadline, "nobody saw to what is only kept");
        std::thread::yield_now();
    }
    kept.wait().unwrap();
    alone.wait().unwrap();
}

#[test]
fn a_delay_gathers_what_comes_meanwhile() {
    let delay = Duration::from_millis(20);
    let (_disk, log, syncs) = watched(Settings { group_delay: delay, ..small() });
    std::thread::scope(|scope| {
        for number in 0..8_u64 {
            let log = &log;
            scope.spawn(move || append(log, &payload(number, 100)).unwrap());
        }
    });
    assert!(syncs.load(SeqCst) < 8, "{} syncs for eight", syncs.load(SeqCst));
}
