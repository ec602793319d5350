//! What is let in finds room: nothing that was accepted under the size cap is refused later.
#![allow(clippy::unwrap_used)]

mod common;

use std::{collections::HashSet, sync::Arc, time::Duration};

use common::{append, open_with, payload, read_all, small};
use standpipe_testkit::{CallKind, MemStorage};
use standpipe_wal::{Durability, Log, LogError, Lsn, Reader, Record, Settings, Ticket};

#[test]
fn what_is_accepted_under_the_size_cap_is_written() {
    let mut accepted_in_all = 0;
    for durability in [Durability::Group, Durability::Os] {
        for (segment_bytes, segments, length) in
            [(8_192, 20, 100), (16_384, 64, 300), (16_384, 6, 5_000), (65_536, 4, 20_000), (65_536, 12, 1)]
        {
            let size_bytes_max = segment_bytes * segments;
            let settings = Settings { durability, segment_bytes, size_bytes_max, ..small() };
            let disk = MemStorage::new();
            let log = open_with(&disk, settings.clone()).unwrap();
            let mut tickets = Vec::new();
            let full = loop {
                match log.append(Record::new(&[&payload(tickets.len() as u64, length)])) {
                    Ok(ticket) => tickets.push(ticket),
                    Err(error) => break error,
                }
            };
            assert!(matches!(full, LogError::Full { .. }), "{full}");
            accepted_in_all += tickets.len();
            let what = format!("{durability:?}, {segment_bytes} bytes, records of {length}");
            log.sync().unwrap();
            let expected = tickets.len();
            for ticket in tickets {
                ticket.wait().unwrap_or_else(|error| panic!("{what}: accepted, then: {error}"));
            }
            assert!(log.size_bytes() <= size_bytes_max, "{what}");
            log.close().unwrap();
            drop(log);
            assert_eq!(read_all(&open_with(&disk, settings).unwrap()).unwrap().len(), expected, "{what}");
        }
    }
    println!("records accepted {accepted_in_all}");
}

#[test]
fn what_is_let_go_is_room_again() {
    for segment_ahead in [false, true] {
        for (segments, length) in [(2, 300), (2, 9_000), (3, 20_000), (4, 60_000)] {
            let segment_bytes = 64 << 10;
            let size_bytes_max = segment_bytes * segments;
            let settings = Settings { segment_ahead, segment_bytes, size_bytes_max, ..small() };
            let disk = MemStorage::new();
            let log = open_with(&disk, settings).unwrap();
            let what = format!("{segments} segments, records of {length}, ahead: {segment_ahead}");
            for life in 0..5 {
                let fill = || (0..1_000).find_map(|at| Some((at, append(&log, &payload(at, length)).err()?)));
                let (written, full) = fill().unwrap();
                assert!(matches!(full, LogError::Full { .. }), "{what}: {full}");
                assert!(written > 0, "{what}: nothing fits after {life} truncations");
                log.truncate_before(log.end()).unwrap();
            }
        }
    }
}

#[test]
fn whoever_is_let_in_one_by_one_is_written() {
    for segment_ahead in [false, true] {
        for (segment_bytes, segments, length) in
            [(1 << 20, 2, 4_000), (1 << 20, 3, 500), (64 << 10, 4, 4_000)]
        {
            let size_bytes_max = segment_bytes * segments;
            let settings = Settings { segment_ahead, segment_bytes, size_bytes_max, ..small() };
            let log = open_with(&MemStorage::new(), settings).unwrap();
            for life in 0..3 {
                let mut count = 0;
                while let Ok(ticket) = log.append(Record::new(&[&payload(count, length)])) {
                    let what = format!("{segment_bytes} x {segments}, ahead: {segment_ahead}, life {life}");
                    ticket
                        .wait()
                        .unwrap_or_else(|error| panic!("{what}: accepted after {count}, then: {error}"));
                    count += 1;
                }
                assert!(count > 0);
                log.truncate_before(log.end()).unwrap();
            }
        }
    }
}

#[test]
fn pins_take_their_part_of_every_segment() {
    for (pin, length) in [(50_000, 2_000), (55_000, 5_000), (30_000, 20_000)] {
        let settings = Settings { segment_bytes: 64 << 10, size_bytes_max: 1 << 20, ..small() };
        let log = open_with(&MemStorage::new(), settings).unwrap();
        log.pin(b"large", &payload(1, pin)).unwrap().wait().unwrap();
        let accepted: Vec<_> =
            (0..).map_while(|at| log.append(Record::new(&[&payload(at, length)])).ok()).collect();
        assert!(accepted.len() > 3, "{pin} {length}: {}", accepted.len());
        for ticket in accepted {
            ticket.wait().unwrap_or_else(|error| panic!("{pin} {length}: accepted, then: {error}"));
        }
    }
}

#[test]
fn whoever_is_refused_is_refused_with_all_behind_it() {
    let disk = MemStorage::new();
    let log = open_with(&disk, small()).unwrap();
    let kept = append(&log, b"kept").unwrap();
    // No room for another segment, and records that need one.
    disk.capacity(disk.used_bytes());
    let tickets: Vec<_> =
        (0..40).map(|number| log.append(Record::new(&[&payload(number, 3_000)])).unwrap()).collect();
    let last = tickets.last().unwrap().lsn();
    let outcomes: Vec<_> = tickets.into_iter().map(Ticket::wait).collect();
    let first = outcomes.iter().position(Result::is_err).expect("the disk is full");
    assert!(
        outcomes[first..].iter().all(|outcome| matches!(outcome, Err(LogError::Full { .. }))),
        "{outcomes:?}"
    );
    // Whoever did not look at the tickets hears of it, once.
    assert!(matches!(log.sync(), Err(LogError::Full { .. })));
    log.sync().unwrap();
    disk.capacity(u64::MAX);
    let next = append(&log, b"room again").unwrap();
    assert!(next > last && kept < next, "numbers are not given twice");
    let numbers: HashSet<u64> = read_all(&log).unwrap().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers.len(), 2 + first);
}

#[test]
fn what_may_not_be_given_again_is_on_disk_when_that_is_said() {
    let disk = MemStorage::new();
    let log = open_with(&disk, small()).unwrap();
    let tickets: Vec<_> = (0..9).map(|_| log.append(Record::new(&[b"not waited for"])).unwrap()).collect();
    log.advance_to(Lsn::new(10)).unwrap();
    let after = disk.power_cut(standpipe_testkit::Cut::LoseUnsynced);
    drop(tickets);
    assert!(open_with(&after, small()).unwrap().end() >= Lsn::new(10));
}

#[test]
fn what_can_never_fit_is_too_large() {
    let settings = Settings { segment_bytes: 16 << 10, size_bytes_max: 64 << 10, ..small() };
    let log = open_with(&MemStorage::new(), settings).unwrap();
    let refused = log.append(Record::new(&[&[0; 60 << 10]])).map(drop);
    assert!(matches!(refused, Err(LogError::TooLarge { limit_bytes: 32_768, .. })), "{refused:?}");
    append(&log, &payload(1, 32_768)).unwrap();
}

#[test]
fn while_segments_go_the_start_is_never_behind_what_is_there() {
    let disk = MemStorage::new();
    let log = Arc::new(open_with(&disk, small()).unwrap());
    let follower = log.clone();
    // At each removal, on the thread that truncates.
    disk.on_call(move |call| {
        if matches!(call.kind, CallKind::Remove | CallKind::Rename) && call.file.ends_with(".wal") {
            let start = follower.start();
            let mut reader = follower.follow(start).unwrap();
            let entry = reader.next(Duration::ZERO).unwrap().unwrap();
            assert_eq!(entry.lsn, start);
        }
    });
    for number in 0..40 {
        append(&*log, &payload(number, 3_000)).unwrap();
    }
    log.truncate_before(log.end()).unwrap();
    assert!(log.start() > Lsn::new(30));
    disk.on_call(|_| ());
}
