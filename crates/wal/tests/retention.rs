//! What truncation takes, what holds it back, and what becomes of the files.
#![allow(clippy::unwrap_used)]

mod common;

use common::{append, fill, open_with, payload, read_all, small};
use standpipe_testkit::{Cut, MemStorage};
use standpipe_wal::{Log, LogError, Lsn, Reader, Settings, Wal};

fn long(disk: &MemStorage) -> Wal<MemStorage> {
    let log = open_with(disk, Settings { segment_bytes: 32 << 10, ..small() }).unwrap();
    fill(&log, 0..40, 3000);
    log
}

#[test]
fn a_hold_keeps_what_is_above_it_until_it_moves_or_goes() {
    let disk = MemStorage::new();
    let log = long(&disk);
    let (backup, reader) = (log.hold("backup", Lsn::new(12)), log.hold("reader", Lsn::new(25)));
    log.truncate_before(log.end()).unwrap();
    assert!(log.start() > Lsn::FIRST && log.start() <= Lsn::new(12), "{}", log.start());
    let holds = log.holds();
    assert_eq!(
        holds.iter().map(|hold| (hold.name.as_str(), hold.lsn)).collect::<Vec<_>>(),
        [("backup", Lsn::new(12)), ("reader", Lsn::new(25))]
    );
    backup.move_to(Lsn::new(30));
    log.truncate_before(log.end()).unwrap();
    assert!(log.start() > Lsn::new(12) && log.start() <= Lsn::new(25), "{}", log.start());
    drop(reader);
    log.truncate_before(log.end()).unwrap();
    assert!(log.start() > Lsn::new(25) && log.start() <= Lsn::new(30), "{}", log.start());
    drop(backup);
    assert!(log.holds().is_empty());
    log.truncate_before(log.end()).unwrap();
    assert!(log.start() > Lsn::new(30), "{}", log.start());
}

#[test]
fn l9_a_hold_that_does_not_move_is_reported() {
    let disk = MemStorage::new();
    let log = long(&disk);
    let forgotten = log.hold("forgotten", Lsn::new(2));
    let moved = log.hold("moved", Lsn::new(3));
    let before = std::time::Instant::now();
    while before.elapsed() < std::time::Duration::from_millis(5) {
        std::thread::yield_now();
    }
    moved.move_to(Lsn::new(4));
    let holds = log.holds();
    assert_eq!(holds[0].name, "forgotten");
    assert!(holds[0].idle > holds[1].idle, "{holds:?}");
    assert!(holds[0].idle >= std::time::Duration::from_millis(5));
    drop(forgotten);
}

#[test]
fn a_truncated_file_becomes_a_segment_again() {
    let disk = MemStorage::new();
    let log = long(&disk);
    let taken = log.size_bytes();
    log.truncate_before(log.end()).unwrap();
    let free = |disk: &MemStorage| disk.names().iter().filter(|name| name.ends_with(".wal.free")).count();
    assert_eq!(free(&disk), 1, "one is kept");
    assert!(log.size_bytes() < taken / 3, "{} of {taken}", log.size_bytes());
    let kept = fill(&log, 100..106, 3000);
    assert_eq!(free(&disk), 0, "it is in use");
    let left: Vec<_> = read_all(&log).unwrap();
    assert_eq!(left[left.len() - 6..], kept[..]);
    // What the file held before is never taken for the log's, nor for a write that was interrupted.
    for image in [disk.process_killed(), disk.power_cut(Cut::LoseUnsynced)] {
        let again = common::open(&image).unwrap();
        assert_eq!(again.recovery().torn_tail, None);
        assert_eq!(read_all(&again).unwrap(), left);
    }
    log.close().unwrap();
}

#[test]
fn a_full_log_refuses_by_name_and_goes_on_when_truncated() {
    let disk = MemStorage::new();
    let settings =
        Settings { segment_bytes: 32 << 10, size_bytes_max: 128 << 10, segment_ahead: true, ..small() };
    let log = open_with(&disk, settings).unwrap();
    for round in 0..4_u64 {
        let mut appended = 0;
        let error = loop {
            match append(&log, &payload(round * 1000 + appended, 3000)) {
                Ok(_) => appended += 1,
                Err(error) => break error,
            }
            assert!(appended < 100, "the cap does not hold");
        };
        assert!(
            matches!(&error, LogError::Full { what } if what.contains("of at most 131072 bytes")),
            "{error}"
        );
        assert!(log.size_bytes() <= 128 << 10);
        assert!(round > 0 || appended > 10, "{appended}");
        log.truncate_before(log.end()).unwrap();
    }
    log.close().unwrap();
}

#[test]
fn a_reader_that_waits_at_the_end_goes_on_behind_a_truncation() {
    let disk = MemStorage::new();
    let log = long(&disk);
    // It stands at the start of a segment that holds nothing for it, and has not read a byte of it.
    let mut waiting = log.follow(log.end()).unwrap();
    assert!(waiting.next(std::time::Duration::ZERO).unwrap().is_none());
    let next = fill(&log, 100..120, 3000);
    log.truncate_before(Lsn::new(next[0].0)).unwrap();
    for (number, bytes) in &next {
        let entry = waiting.next(common::PATIENCE).unwrap().unwrap();
        assert_eq!((entry.lsn.number(), entry.payload), (*number, &bytes[..]));
    }
}

#[test]
fn a_reader_whose_file_became_another_segment_hears_that_its_records_are_gone() {
    let disk = MemStorage::new();
    let log = long(&disk);
    let mut slow = log.follow(Lsn::FIRST).unwrap();
    assert_eq!(slow.next(std::time::Duration::ZERO).unwrap().unwrap().lsn, Lsn::FIRST);
    let mut behind = log.follow(Lsn::new(9)).unwrap();
    assert_eq!(behind.next(std::time::Duration::ZERO).unwrap().unwrap().lsn, Lsn::new(9));
    log.truncate_before(log.end()).unwrap();
    fill(&log, 100..140, 3000);
    log.truncate_before(log.end()).unwrap();
    fill(&log, 200..240, 3000);
    for reader in [&mut slow, &mut behind] {
        let gone = loop {
            match reader.next(std::time::Duration::ZERO) {
                Ok(Some(entry)) => assert!(entry.lsn < Lsn::new(20), "{}", entry.lsn),
                other => break other.map(|entry| entry.map(|entry| entry.lsn)),
            }
        };
        assert!(matches!(gone, Err(LogError::Truncated { .. })), "{gone:?}");
    }
}
