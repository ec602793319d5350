//! Calls that fail: each known failure by its number.
#![allow(clippy::unwrap_used)]

mod common;

use std::{sync::Arc, thread};

use common::{PATIENCE, append, batch, fill, open, open_with, payload, read_all, script, small};
use standpipe_testkit::{CallKind, Fault, MemStorage, Planted, StorageMistake, block_on_for};
use standpipe_wal::{Dir, Durability, Log, LogError, Lsn, Record, Settings, Ticket, Wal};

#[test]
fn k3_numbers_lie_in_the_order_of_bytes() {
    let disk = MemStorage::new();
    let log = Arc::new(open(&disk).unwrap());
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let log = log.clone();
            thread::spawn(move || fill(&*log, writer * 1000..writer * 1000 + 250, 60))
        })
        .collect();
    let mut expected: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    expected.sort();
    assert_eq!(expected.len(), 2000);
    assert!(expected.iter().map(|record| record.0).eq(1..=2000), "dense");
    // Reading goes by bytes, and refuses a number below the one before it.
    assert_eq!(read_all(&*log).unwrap(), expected);
}

#[test]
fn l1_every_waiter_hears_of_a_failed_sync() {
    let mut failures = 0;
    for nth in 1..200 {
        let disk = MemStorage::new();
        let log = Arc::new(open(&disk).unwrap());
        disk.fail_nth(CallKind::SyncData, nth, Fault::EIO);
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let log = log.clone();
                thread::spawn(move || {
                    let mut failed = 0;
                    for number in 0..12 {
                        let Ok(ticket) = log.append(Record::new(&[&payload(writer * 100 + number, 200)]))
                        else {
                            failed += 1;
                            continue;
                        };
                        let outcome = if writer % 2 == 0 {
                            block_on_for(ticket, PATIENCE).expect("every ticket resolves")
                        } else {
                            ticket.wait()
                        };
                        failed += usize::from(outcome.is_err());
                    }
                    failed
                })
            })
            .collect();
        let failed: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        let syncs = disk.trace().iter().filter(|call| call.kind == CallKind::SyncData).count() as u64;
        if syncs < nth {
            assert_eq!(failed, 0);
            break;
        }
        assert!(failed > 0, "the sync {nth} failed, and nobody heard of it");
        failures += 1;
    }
    assert!(failures >= 3, "{failures}");
}

#[test]
fn l2_short_and_interrupted_writes_are_carried_on() {
    let mut tried = 0;
    for fault in [Fault::Short(1), Fault::Short(700), Fault::EINTR] {
        for nth in 1..100 {
            let disk = MemStorage::new();
            disk.fail_nth(CallKind::WriteAt, nth, fault.clone());
            let log = open(&disk).unwrap();
            let (kept, outcome) = script(&log);
            outcome.unwrap();
            assert_eq!(read_all(&log).unwrap(), kept, "{fault:?} at write {nth}");
            log.close().unwrap();
            let writes = disk.trace().iter().filter(|call| call.kind == CallKind::WriteAt).count() as u64;
            let again = open(&disk).unwrap();
            assert_eq!(read_all(&again).unwrap(), kept, "{fault:?} at write {nth}, opened again");
            if nth > writes {
                break;
            }
            tried += 1;
        }
    }
    println!("writes tried {tried}");
    assert!(tried > 40, "{tried}");
}

#[test]
fn l3_failed_sync_poisons() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    let kept = fill(&log, 0..3, 300);
    disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
    assert!(matches!(append(&log, b"lost"), Err(LogError::Poisoned { .. })));
    let calls = disk.calls();
    for _ in 0..3 {
        assert!(matches!(append(&log, b"later"), Err(LogError::Poisoned { .. })));
    }
    assert!(matches!(log.advance_to(Lsn::new(99)), Err(LogError::Poisoned { .. })));
    assert!(matches!(log.truncate_before(Lsn::new(2)), Err(LogError::Poisoned { .. })));
    assert!(matches!(log.close(), Err(LogError::Poisoned { .. })));
    assert_eq!(disk.calls(), calls, "a poisoned log asks nothing more of the disk");
    assert_eq!(log.durable_end(), Lsn::new(4));
    drop(log);
    let shown = read_all(&open(&disk).unwrap()).unwrap();
    assert_eq!(shown[..3], kept[..]);
    let after = disk.power_cut(standpipe_testkit::Cut::LoseUnsynced);
    assert_eq!(read_all(&open(&after).unwrap()).unwrap(), shown, "what was shown after opening is on disk");
}

#[test]
fn l3_is_found_when_planted() {
    let disk = MemStorage::new();
    let log = Wal::open_in(Planted::new(disk.clone(), StorageMistake::RetryingSync), small()).unwrap();
    disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
    append(&log, b"acknowledged by a sync that was tried again").unwrap();
    let after = disk.power_cut(standpipe_testkit::Cut::LoseUnsynced);
    assert!(read_all(&open(&after).unwrap()).unwrap().is_empty(), "the plant did not lose it");
}

#[test]
fn l12_a_second_opener_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let log = Wal::open(place.path(), small()).unwrap();
    let second = Wal::open(place.path(), small());
    assert!(matches!(second, Err(LogError::InUse { place: named }) if place.path().ends_with(&named)
        || named == place.path().display().to_string()));
    log.close().unwrap();
    Wal::open(place.path(), small()).unwrap();
}

#[test]
fn l12_is_found_when_planted() {
    let disk = MemStorage::new();
    let shared = || Planted::new(disk.clone(), StorageMistake::LockShared);
    let _log = Wal::open_in(shared(), small()).unwrap();
    assert!(Wal::open_in(shared(), small()).is_ok(), "the plant did not let the second opener in");
}

#[test]
fn l15_a_failed_write_in_the_middle_of_a_batch_poisons() {
    for bytes in [0, 1, 40, 500, 1500, 4000] {
        let disk = MemStorage::new();
        let log = open(&disk).unwrap();
        let kept = fill(&log, 0..2, 100);
        disk.fail_nth(CallKind::WriteAt, 1, Fault::Partial { bytes, os: 5 });
        let several: Vec<_> = (10..14).map(|number| payload(number, 500)).collect();
        assert!(matches!(batch(&log, &several), Err(LogError::Poisoned { .. })));
        assert!(matches!(append(&log, b"later"), Err(LogError::Poisoned { .. })));
        drop(log);
        let left = read_all(&open(&disk).unwrap()).unwrap();
        assert_eq!(left[..2], kept[..]);
        assert!(left.len() == 2 || left.len() == 6, "{} records after {bytes} bytes", left.len());
    }
}

#[test]
fn a_panic_of_the_log_thread_is_a_poison_that_everyone_hears_of() {
    for kind in [CallKind::WriteAt, CallKind::SyncData, CallKind::Create, CallKind::SyncDir] {
        let disk = MemStorage::new();
        let log = open(&disk).unwrap();
        let kept = fill(&log, 0..2, 100);
        disk.fail_nth(kind, 1, Fault::Panic);
        let tickets: Vec<_> = (0..8).map(|n| log.append(Record::new(&[&payload(n, 4000)]))).collect();
        let outcomes: Vec<_> = tickets.into_iter().map(|ticket| ticket.and_then(Ticket::wait)).collect();
        let failed = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        for error in failed {
            assert!(
                matches!(error, LogError::Poisoned { cause } if cause.contains("planted panic")),
                "{error}"
            );
        }
        assert!(outcomes.last().unwrap().is_err(), "{kind:?}");
        assert!(log.close().is_err());
        drop(log);
        assert_eq!(read_all(&open(&disk).unwrap()).unwrap()[..2], kept[..]);
    }
}

#[test]
fn relaxed_levels_give_no_number_twice() {
    for durability in [Durability::Os, Durability::Periodic(PATIENCE)] {
        let settings = Settings { durability, ..small() };
        let disk = MemStorage::new();
        let log = open_with(&disk, settings.clone()).unwrap();
        let shown = fill(&log, 0..3, 100);
        assert_eq!(read_all(&log).unwrap(), shown, "readable once written");
        let killed = open_with(&disk.process_killed(), settings.clone()).unwrap();
        assert_eq!(read_all(&killed).unwrap(), shown, "the death of the process takes nothing");
        let mut disk = disk.power_cut(standpipe_testkit::Cut::LoseUnsynced);
        let mut highest = 3;
        for _ in 0..3 {
            let log = open_with(&disk, settings.clone()).unwrap();
            assert!(log.recovery().skipped_numbers > 0);
            let next = append(&log, b"next").unwrap().number();
            assert!(next > highest, "{next} was given, {highest} had been read");
            highest = next;
            disk = disk.power_cut(standpipe_testkit::Cut::LoseUnsynced);
        }
        let log = open_with(&disk, settings.clone()).unwrap();
        let end = log.end();
        log.close().unwrap();
        drop(log);
        let log = open_with(&disk, settings).unwrap();
        assert_eq!((log.end(), log.recovery().skipped_numbers), (end, 0), "nothing is skipped after a close");
    }
}

#[test]
fn periodic_syncs_without_being_asked() {
    let disk = MemStorage::new();
    let period = std::time::Duration::from_millis(1);
    let log = open_with(&disk, Settings { durability: Durability::Periodic(period), ..small() }).unwrap();
    append(&log, b"soon durable").unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !disk.trace().iter().any(|call| call.kind == CallKind::SyncData) {
        assert!(std::time::Instant::now() < deadline, "no sync came");
        thread::yield_now();
    }
}

#[test]
fn closing_twice_and_dropping_lose_nothing() {
    let place = tempfile::tempdir().unwrap();
    let log = Wal::open(place.path(), small()).unwrap();
    for number in 0..50 {
        drop(log.append(Record::new(&[&payload(number, 100)])).unwrap());
    }
    drop(log);
    let log = Wal::open_in(Dir::open(place.path()).unwrap(), small()).unwrap();
    assert_eq!(read_all(&log).unwrap().len(), 50);
    log.close().unwrap();
    log.close().unwrap();
    assert!(matches!(log.append(Record::new(&[b"late"])), Err(LogError::Closed)));
}

#[test]
fn every_call_may_fail_and_nothing_acknowledged_is_lost() {
    let (mut tried, mut refused) = (0, 0);
    for number in 1..500 {
        let disk = MemStorage::new();
        disk.fail_call(number, Fault::EIO);
        let log = open(&disk).or_else(|_| open(&disk)).unwrap();
        let (mut kept, outcome) = script(&log);
        let floor = log.end().number() / 2;
        let truncated = log.truncate_before(Lsn::new(floor));
        let closed = log.close();
        refused += usize::from(outcome.is_err() || truncated.is_err() || closed.is_err());
        drop(log);
        let calls = disk.calls();
        for image in [disk.process_killed(), disk.power_cut(standpipe_testkit::Cut::LoseUnsynced)] {
            let log = open(&image).unwrap_or_else(|error| panic!("call {number}: {error}"));
            let left = read_all(&log).unwrap();
            kept.retain(|record| record.0 >= floor);
            assert!(kept.iter().all(|record| left.contains(record)), "call {number} lost a record");
            fill(&log, 0..3, 2000);
        }
        if number > calls {
            break;
        }
        tried += 1;
    }
    println!("calls tried {tried}, refused {refused}");
    assert!(tried > 45 && refused > 35, "{tried} {refused}");
}

#[test]
fn a_removal_whose_sync_failed_stops_truncation_and_rotation() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    fill(&log, 0..20, 3000);
    disk.fail_nth(CallKind::SyncDir, 1, Fault::EIO);
    assert!(matches!(log.truncate_before(log.end()), Err(LogError::Io { .. })));
    let names = disk.names();
    assert!(
        matches!(log.truncate_before(log.end()), Err(LogError::Io { .. })),
        "whether it is gone is not known"
    );
    assert_eq!(disk.names(), names);
    // Nor whether the next segment's name would be.
    let refused = (0..10).find_map(|number| append(&log, &payload(number, 3000)).err());
    assert!(matches!(refused, Some(LogError::Poisoned { .. })), "{refused:?}");
}

#[test]
fn the_last_owner_may_be_dropped_on_the_logs_own_thread() {
    use std::{future::Future, pin::pin, sync::Mutex, task};

    struct Drops(Mutex<Option<Arc<Wal<MemStorage>>>>, std::sync::mpsc::Sender<()>);
    impl task::Wake for Drops {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            self.1.send(()).unwrap();
        }
    }
    let disk = MemStorage::new();
    let log = Arc::new(open(&disk).unwrap());
    let (held, hold) = std::sync::mpsc::channel::<()>();
    let hold = Mutex::new(hold);
    disk.on_call(move |call| {
        if call.kind == CallKind::SyncData {
            let _ = hold.lock().unwrap().recv_timeout(PATIENCE);
        }
    });
    let (told, hears) = std::sync::mpsc::channel();
    let mut ticket = pin!(log.append(Record::new(&[b"kept"])).unwrap());
    let waker = task::Waker::from(Arc::new(Drops(Mutex::new(Some(log)), told)));
    assert!(ticket.as_mut().poll(&mut task::Context::from_waker(&waker)).is_pending());
    drop(held);
    hears.recv_timeout(PATIENCE).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    let again = loop {
        match open(&disk) {
            Err(LogError::InUse { .. }) => assert!(std::time::Instant::now() < deadline, "it never ended"),
            other => break other.unwrap(),
        }
        thread::yield_now();
    };
    assert_eq!(read_all(&again).unwrap(), [(1, b"kept".to_vec())]);
}

#[test]
fn os_loses_at_most_the_last_segment() {
    let disk = MemStorage::new();
    let log = open_with(&disk, Settings { durability: Durability::Os, ..small() }).unwrap();
    let written = fill(&log, 0..14, 3000);
    let first_of_last = standpipe_wal::inspect(&disk).unwrap().segments.last().unwrap().base.number();
    assert!(disk.names().len() > 2);
    for (cut, image) in disk.images(20) {
        let left = read_all(&open(&image).unwrap_or_else(|error| panic!("{cut:?}: {error}"))).unwrap();
        assert_eq!(left[..], written[..left.len()], "{cut:?}");
        assert!(left.len() as u64 + 1 >= first_of_last, "{cut:?} left {} of {first_of_last}", left.len());
    }
}
