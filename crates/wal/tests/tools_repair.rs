//! Repairs of logs damaged by hand: everything sound is there, everything else is listed, the original is untouched.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    append, batch, fill,
    mended::{Records, Was, mend, watched},
    open, payload, read_all, small,
};
use standpipe_log::Storage as _;
use standpipe_testkit::{CallKind, Fault, MemStorage};
use standpipe_wal::{
    Durability, Identity, Log, LogError, Lsn, RepairSettings, Repaired, Settings, TailReport, Ticket,
    inspect, repair, verify,
};

const FIRST: &str = "00000000000000000001.wal";
const SECOND: &str = "00000000000000000002.wal";
const THIRD: &str = "00000000000000000003.wal";

/// A closed log of some small segments with single records, a batch, a gap, and pins that change.
fn sample() -> (MemStorage, Records) {
    let disk = MemStorage::new();
    let settings = Settings { segment_bytes: 32 << 10, ..small() };
    let log = common::open_with(&disk, settings).unwrap();
    log.pin(b"schema", b"a bigint").unwrap().wait().unwrap();
    log.pin(b"gone", b"soon").unwrap().wait().unwrap();
    let mut records: Records = fill(&log, 0..6, 400).into_iter().collect();
    log.pin(b"gone", b"").unwrap().wait().unwrap();
    let several: Vec<_> = (10..14).map(|number| payload(number, 200)).collect();
    let last = batch(&log, &several).unwrap().number();
    records.extend((last - 3..).zip(several));
    log.advance_to(Lsn::new(100)).unwrap();
    records.extend(fill(&log, 20..26, 900));
    log.pin(b"schema", b"a bigint, b text").unwrap().wait().unwrap();
    records.extend(fill(&log, 30..33, 300));
    log.close().unwrap();
    (disk, records)
}

fn place_of(disk: &MemStorage, record: u64) -> (String, u64) {
    let wanted = format!("record {record} ");
    disk.names()
        .into_iter()
        .find_map(|name| {
            let contents = disk.contents(&name).unwrap();
            let at = contents.windows(wanted.len()).position(|bytes| bytes == wanted.as_bytes())?;
            Some((name, at as u64))
        })
        .unwrap()
}

fn check(damaged: &MemStorage, records: &Records, what: &str) -> (Repaired, Records) {
    let pins = vec![(b"schema".to_vec(), b"a bigint, b text".to_vec())];
    Was { records: records.clone(), pins, is_closed: true }.check(damaged, what)
}

#[test]
fn a_sound_log_is_copied_whole_with_its_identity() {
    let (disk, records) = sample();
    let (repaired, left) = check(&disk, &records, "nothing");
    assert_eq!(left, records);
    assert!(repaired.is_lossless() && repaired.damage.is_empty());
    assert_eq!(repaired.id, repaired.original);
    assert_eq!(open(&disk).unwrap().identity(), repaired.id);
    assert_eq!(repaired.next, Lsn::new(109));
    assert_eq!((repaired.pins, repaired.start), (1, Some(Lsn::FIRST)));
}

#[test]
fn each_kind_of_damage_costs_what_it_hit_and_no_more() {
    let (disk, records) = sample();
    let last = disk.names().pop().unwrap();
    assert!(disk.names().len() >= 3);
    let lost = |change: &dyn Fn(&MemStorage), what: &str| {
        let damaged = disk.process_killed();
        change(&damaged);
        assert!(!verify(&damaged).unwrap().is_sound(), "{what} was not noticed");
        let (repaired, left) = check(&damaged, &records, what);
        assert_eq!(repaired.is_lossless(), left.len() == records.len() && !repaired.has_stale_pins, "{what}");
        records.keys().filter(|lsn| !left.contains_key(lsn)).copied().collect::<Vec<_>>()
    };
    let in_segment = |name: &str| {
        let found = inspect(&disk).unwrap();
        let at = found.segments.iter().position(|segment| segment.name == name).unwrap();
        let (from, to) = (found.segments[at].base.number(), found.segments[at].end.number());
        records.range(from..to).map(|record| *record.0).collect::<Vec<_>>()
    };
    let none: Vec<u64> = Vec::new();
    assert_eq!(lost(&|disk| _ = disk.damage(SECOND, 20, b"X"), "a header"), none);
    assert_eq!(lost(&|disk| _ = disk.damage(FIRST, 0, &[0; 4096]), "the first header"), none);
    assert_eq!(lost(&|disk| _ = disk.damage(&last, 20, b"X"), "the last header"), in_segment(&last));
    assert_eq!(lost(&|disk| _ = disk.damage(SECOND, 4100, b"X"), "the first frame"), none);
    let (name, at) = place_of(&disk, 3);
    assert_eq!(lost(&|disk| _ = disk.damage(&name, at, b"X"), "a record"), [4]);
    let (batched, at_batch) = place_of(&disk, 11);
    assert_eq!(lost(&|disk| _ = disk.damage(&batched, at_batch, b"X"), "a batch"), [7, 8, 9, 10]);
    let two = |disk: &MemStorage| {
        disk.damage(&name, at, b"X");
        disk.damage(&batched, at_batch, b"X");
    };
    assert_eq!(lost(&two, "two places"), [4, 7, 8, 9, 10]);
    assert_eq!(lost(&|disk| disk.remove(SECOND).unwrap(), "a missing segment"), in_segment(SECOND));
    let (tail, at) = place_of(&disk, 32);
    assert_eq!(tail, last);
    assert_eq!(lost(&|disk| _ = disk.damage(&last, at, b"X"), "the last record"), [108]);
    let page = lost(&|disk| _ = disk.damage(SECOND, 4096, &[0; 4096]), "a zeroed page");
    assert!(!page.is_empty() && page.iter().all(|lsn| in_segment(SECOND).contains(lsn)));
    let cut = lost(&|disk| _ = disk.shorten(SECOND, 13_000), "a truncated file");
    assert!(!cut.is_empty() && cut.len() < in_segment(SECOND).len());
    let swapped = |damaged: &MemStorage| _ = damaged.damage(SECOND, 0, &disk.contents(THIRD).unwrap());
    assert_eq!(lost(&swapped, "another segment in its place"), in_segment(SECOND));
}

#[test]
fn every_flipped_byte_and_every_zeroed_block_keeps_the_promises() {
    let (disk, records) = sample();
    let (mut tried, mut lossy) = (0, 0);
    let mut with = |name: &str, at: u64, bytes: &[u8]| {
        let damaged = disk.process_killed();
        damaged.damage(name, at, bytes);
        let (repaired, _) = check(&damaged, &records, &format!("{name} byte {at}, {} bytes", bytes.len()));
        tried += 1;
        lossy += usize::from(!repaired.is_lossless());
    };
    for name in disk.names() {
        let contents = disk.contents(&name).unwrap();
        let end = contents.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in (0..120).chain((4096..end).step_by(11)) {
            with(&name, at as u64, &[contents[at] ^ 0x41]);
        }
        for at in (0..end).step_by(512) {
            with(&name, at as u64, &[0; 512]);
        }
    }
    println!("damaged in {tried} ways, {lossy} of them lost something");
    assert!(tried > 5000 && lossy > 500);
}

#[test]
fn every_length_that_a_file_may_be_cut_to_keeps_the_promises() {
    let (disk, records) = sample();
    for name in disk.names() {
        for len in (0..disk.contents(&name).unwrap().len() as u64).step_by(211) {
            let damaged = disk.process_killed();
            damaged.shorten(&name, len);
            check(&damaged, &records, &format!("{name} cut to {len}"));
        }
        let damaged = disk.process_killed();
        damaged.remove(&name).unwrap();
        if [disk.names().first(), disk.names().last()].contains(&Some(&name)) {
            // Without the oldest it is a truncated log, which says that it is one; the newest is named by nothing.
            assert!(verify(&damaged).unwrap().is_sound());
        } else {
            check(&damaged, &records, &format!("{name} removed"));
        }
    }
}

#[test]
fn a_record_that_holds_frames_of_its_own_log_gives_none_of_them_back() {
    // What a reader of segments might log again: whole frames inside a record, of another incarnation or another place.
    let disk = MemStorage::new();
    let log = common::open_with(&disk, Settings { segment_bytes: 64 << 10, ..small() }).unwrap();
    fill(&log, 0..3, 100);
    let frames = disk.contents(FIRST).unwrap()[4096..5 * 4096].to_vec();
    let mut records: Records = read_all(&log).unwrap().into_iter().collect();
    records.insert(append(&log, &frames).unwrap().number(), frames);
    records.extend(fill(&log, 5..8, 100));
    log.pin(b"schema", b"a bigint, b text").unwrap().wait().unwrap();
    log.close().unwrap();
    let contents = disk.contents(FIRST).unwrap();
    let inner = contents.windows(9).rposition(|bytes| bytes == b"record 2 ").unwrap();
    let damaged = disk.process_killed();
    // The frame around them is damaged in front of them.
    damaged.damage(FIRST, inner as u64 - 300, b"X");
    let (repaired, left) = check(&damaged, &records, "frames in a record");
    assert_eq!(left.len(), records.len() - 1, "{:?}", repaired.damage);
}

#[test]
fn the_beginning_of_a_truncated_log_stays_gone() {
    let (disk, records) = sample();
    let log = open(&disk).unwrap();
    log.truncate_before(Lsn::new(101)).unwrap();
    let start = log.start();
    assert!(start > Lsn::FIRST);
    log.close().unwrap();
    drop(log);
    let (to, repaired) = mend(&disk);
    assert!(repaired.unwrap().is_lossless());
    let log = open(&to).unwrap();
    assert_eq!(log.start(), start);
    assert!(
        matches!(log.follow(Lsn::FIRST), Err(LogError::Truncated { .. })),
        "a gap is not passed in silence"
    );
    assert_eq!(
        read_all(&log).unwrap(),
        records.range(start.number()..).map(|(l, p)| (*l, p.clone())).collect::<Vec<_>>()
    );
    // The same where the first header is damaged.
    let first = disk.names()[0].clone();
    disk.damage(&first, 20, b"X");
    let (to, repaired) = mend(&disk);
    assert!(repaired.unwrap().is_lossless());
    let log = open(&to).unwrap();
    assert_eq!(log.start(), start);
    assert!(matches!(log.follow(Lsn::FIRST), Err(LogError::Truncated { .. })));
}

#[test]
fn numbers_that_a_relaxed_log_may_have_shown_are_not_given_again() {
    let disk = MemStorage::new();
    let log = common::open_with(&disk, Settings { durability: Durability::Os, ..small() }).unwrap();
    fill(&log, 0..5, 100);
    let image = disk.process_killed();
    drop(log);
    let (to, repaired) = mend(&image);
    let repaired = repaired.unwrap();
    assert!(repaired.is_lossless());
    let by_opening = open(&image).unwrap().end();
    assert!(repaired.next >= by_opening, "{} {by_opening}", repaired.next);
    assert_eq!(open(&to).unwrap().end(), repaired.next);
}

#[test]
fn an_unfinished_write_is_left_out_as_opening_does() {
    let disk = MemStorage::new();
    let log = common::open_with(&disk, Settings { segment_bytes: 64 << 10, ..small() }).unwrap();
    fill(&log, 0..4, 300);
    let image = disk.process_killed();
    drop(log);
    let (name, at) = place_of(&image, 3);
    image.damage(&name, at, &[0; 100]);
    let (to, repaired) = mend(&image);
    let repaired = repaired.unwrap();
    assert!(repaired.is_lossless() && matches!(repaired.tail, TailReport::Torn(_)));
    let (mended, opened) = (open(&to).unwrap(), open(&image).unwrap());
    assert_eq!(read_all(&mended).unwrap(), read_all(&opened).unwrap());
    assert_eq!(mended.end(), opened.end());
}

#[test]
fn another_identity_is_drawn_when_asked_for() {
    let (disk, records) = sample();
    let to = MemStorage::new();
    let settings = RepairSettings { identity: Identity::New, ..RepairSettings::default() };
    let repaired = repair(&disk, to.clone(), &settings, &mut watched()).unwrap();
    assert_ne!(repaired.id, repaired.original);
    let log = open(&to.process_killed()).unwrap();
    assert_eq!(log.identity(), repaired.id);
    assert_eq!(read_all(&log).unwrap().into_iter().collect::<Records>(), records);
}

#[test]
fn a_copy_that_is_smaller_than_its_original_opens_for_ever() {
    // Repairing compresses, and whoever opens the copy may not.
    let disk = MemStorage::new();
    let settings = Settings { segment_bytes: 1 << 20, record_bytes_max: 1 << 20, ..small() };
    let log = common::open_with(&disk, settings).unwrap();
    let text = b"level=info msg=\"one row applied\" ".repeat(3000);
    let records: Vec<_> = (0..30).map(|_| (append(&log, &text).unwrap().number(), text.clone())).collect();
    log.close().unwrap();
    drop(log);
    let (to, repaired) = mend(&disk);
    assert!(repaired.unwrap().is_lossless());
    for life in 0..3 {
        let log = open(&to).unwrap();
        assert!(read_all(&log).unwrap() == records, "life {life}");
        log.close().unwrap();
    }
}

#[test]
fn what_cannot_be_repaired_is_refused() {
    let (_, repaired) = mend(&MemStorage::new());
    assert!(matches!(repaired, Err(LogError::Invalid(what)) if what.contains("holds no log")));
    let (disk, _) = sample();
    let owner = open(&disk).unwrap();
    assert!(matches!(mend(&disk).1, Err(LogError::InUse { .. })));
    drop(owner);
    for name in disk.names() {
        disk.damage(&name, 0, b"XXXX");
    }
    assert!(matches!(mend(&disk).1, Err(LogError::Corrupt { .. })));
    let (disk, _) = sample();
    let there = MemStorage::new();
    there.create("file").unwrap();
    let refused = repair(&disk, there, &RepairSettings::default(), &mut watched());
    assert!(matches!(refused, Err(LogError::Invalid(what)) if what.contains("not empty")));
}

#[test]
fn l11_a_copy_that_has_no_room_or_a_failing_disk_is_an_error() {
    let (disk, _) = sample();
    let small = MemStorage::new();
    small.capacity(20 << 10);
    let refused = repair(&disk, small, &RepairSettings::default(), &mut watched());
    assert!(matches!(refused, Err(LogError::Full { .. })), "{refused:?}");
    for kind in
        [CallKind::SyncData, CallKind::SyncAll, CallKind::WriteAt, CallKind::Allocate, CallKind::SyncDir]
    {
        for fault in [Fault::EIO, Fault::ENOSPC] {
            for nth in 1..200 {
                let failing = MemStorage::new();
                failing.fail_nth(kind, nth, fault.clone());
                let outcome = repair(&disk, failing.clone(), &RepairSettings::default(), &mut watched());
                failing.clear_faults();
                if outcome.is_ok() {
                    let copy = failing.process_killed();
                    assert_eq!(inspect(&copy).unwrap().totals().data_records, 19, "{kind:?} {nth}");
                    if (failing.trace().iter().filter(|call| call.kind == kind).count() as u64) < nth {
                        break;
                    }
                }
            }
        }
    }
}
