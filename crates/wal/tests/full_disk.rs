//! A disk without room, at whatever call, and with room again.
#![allow(clippy::unwrap_used)]

mod common;

use common::{append, fill, open, open_with, payload, read_all, script, small};
use standpipe_testkit::{Call, CallKind, Fault, MemStorage};
use standpipe_wal::{Log, LogError, Record, Settings, Ticket};

#[test]
fn l11_full_disk_at_every_call_then_room_again() {
    let (mut tried, mut refused, mut poisoned) = (0, 0, 0);
    for number in 1..500 {
        let disk = MemStorage::new();
        disk.fail_call(number, Fault::ENOSPC);
        let mut kept = Vec::new();
        let log = match open(&disk) {
            Ok(log) => log,
            Err(LogError::Full { .. } | LogError::Io { .. }) => open(&disk).unwrap(),
            Err(error) => panic!("call {number}: {error}"),
        };
        for _ in 0..3 {
            let (more, outcome) = script(&log);
            kept.extend(more);
            match outcome {
                Ok(()) => {}
                Err(LogError::Full { .. }) => {
                    refused += 1;
                    let (more, outcome) = script(&log);
                    kept.extend(more);
                    outcome.unwrap();
                }
                Err(LogError::Poisoned { .. }) => {
                    poisoned += 1;
                    let trace = disk.trace();
                    let (before, kind) = (&trace[..number as usize - 1], trace[number as usize - 1].kind);
                    let named = |call: &&Call| matches!(call.kind, CallKind::Create | CallKind::Rename);
                    let draft = before.iter().rfind(named).is_some_and(|call| call.kind == CallKind::Create);
                    assert!(
                        matches!(kind, CallKind::SyncData | CallKind::SyncAll | CallKind::SyncDir)
                            || (kind == CallKind::WriteAt && !draft),
                        "call {number}, {kind:?}: only a sync, or a write into reserved space, may poison"
                    );
                    break;
                }
                Err(error) => panic!("call {number}: {error}"),
            }
        }
        let _ = log.close();
        drop(log);
        let calls = disk.calls();
        disk.clear_faults();
        let log = open(&disk).unwrap();
        let left = read_all(&log).unwrap();
        assert!(kept.iter().all(|record| left.contains(record)), "call {number} lost a record");
        fill(&log, 0..3, 2000);
        if number > calls {
            break;
        }
        tried += 1;
    }
    println!("calls tried {tried}, refused {refused}, poisoned {poisoned}");
    assert!(tried > 60 && refused > 3, "{tried} {refused}");
}

/// Whoever appends without waiting for each ticket would otherwise have a later record kept and an earlier one not.
#[test]
fn l11_nothing_is_taken_behind_a_refused_record_while_its_ticket_is_held() {
    let mut refused = 0;
    for number in 1..200 {
        let disk = MemStorage::new();
        let log = open(&disk).unwrap();
        disk.fail_call(disk.calls() + number, Fault::ENOSPC);
        let calls = disk.calls();
        let mut tickets = Vec::new();
        for step in 0..6 {
            let bytes = payload(step, 5000);
            tickets.push(log.append(Record::new(&[&bytes])).unwrap());
            match log.sync() {
                Ok(()) => continue,
                Err(LogError::Full { .. }) => {}
                Err(_) => break,
            }
            // The disk has room again: the fault was one.
            let small = || log.append(Record::new(&[b"small"]));
            assert!(matches!(small(), Err(LogError::Full { .. })), "call {number}");
            let outcomes: Vec<_> = tickets.drain(..).map(|ticket| ticket.wait().is_ok()).collect();
            assert!(outcomes.is_sorted_by(|a, b| a >= b) && outcomes.last() == Some(&false), "{outcomes:?}");
            small().unwrap().wait().unwrap();
            refused += 1;
            break;
        }
        if disk.calls() < calls + number {
            break;
        }
    }
    assert!(refused > 0);
}

#[test]
fn l11_a_full_disk_is_opened_read_and_freed() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    let kept = fill(&log, 0..40, 3000);
    log.close().unwrap();
    drop(log);
    disk.capacity(disk.used_bytes());
    let log = open(&disk).unwrap();
    assert_eq!(read_all(&log).unwrap(), kept);
    assert!(matches!(append(&log, &payload(1, 3000)), Err(LogError::Full { .. })));
    log.truncate_before(log.end()).unwrap();
    append(&log, &payload(1, 3000)).unwrap();
}

#[test]
fn l11_the_size_cap_refuses_and_truncation_makes_room() {
    let settings = Settings { size_bytes_max: 64 << 10, ..small() };
    let disk = MemStorage::new();
    let log = open_with(&disk, settings).unwrap();
    let refused = (0..100).find_map(|number| append(&log, &payload(number, 2000)).err());
    assert!(matches!(&refused, Some(LogError::Full { what }) if what.contains("65536")), "{refused:?}");
    assert!(log.size_bytes() <= 64 << 10);
    log.truncate_before(log.end()).unwrap();
    fill(&log, 0..5, 2000);
    assert_eq!(log.size_bytes(), disk.used_bytes());
}
