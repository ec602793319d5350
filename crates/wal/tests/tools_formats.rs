//! The tools on what a log leaves since format 2: segments that are ready, files that were others, compressed frames, first
//! frames; and on what version 1 left.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::{fs, path::PathBuf, thread};

use common::{
    append, fill,
    mended::{mend, opened},
    open, open_with, payload, read_all, small,
};
use standpipe_log::{FileExt as _, Storage as _};
use standpipe_testkit::MemStorage;
use standpipe_wal::{
    Compression, Durability, Log, LogError, Lsn, Settings, SpareKind, TailReport, Ticket, inspect, verify,
};

const FIRST: &str = "00000000000000000001.wal";
const SECOND: &str = "00000000000000000002.wal";

fn golden(version: u32) -> MemStorage {
    let disk = MemStorage::new();
    let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}"));
    for entry in fs::read_dir(place).unwrap() {
        let entry = entry.unwrap();
        let file = disk.create(entry.file_name().to_str().unwrap()).unwrap();
        file.write_all_at(&fs::read(entry.path()).unwrap(), 0).unwrap();
    }
    disk
}

/// Segments in files that held others, with compressed frames between raw ones; truncated, and closed or not.
fn recycled(closed: bool) -> MemStorage {
    let disk = MemStorage::new();
    let compression = Compression::Lz4 { payload_bytes_min: 1500 };
    let log = open_with(&disk, Settings { segment_bytes: 28 << 10, compression, ..small() }).unwrap();
    log.pin(b"schema", b"a bigint").unwrap().wait().unwrap();
    fill(&log, 0..12, 1200);
    log.truncate_before(Lsn::new(7)).unwrap();
    for number in 0..6 {
        append(&log, &format!("row {number} of flights ").repeat(300).into_bytes()).unwrap();
        append(&log, &payload(number, 700)).unwrap();
    }
    log.truncate_before(Lsn::new(11)).unwrap();
    fill(&log, 30..35, 900);
    log.pin(b"floor", b"7").unwrap().wait().unwrap();
    if closed {
        log.close().unwrap();
        return disk;
    }
    let killed = disk.process_killed();
    disk.power_off();
    killed
}

/// One byte in `step` flipped, and as many blocks of 512 bytes zeroed.
fn damages(disk: &MemStorage, step: usize) -> Vec<(String, u64, Vec<u8>)> {
    let mut damages = Vec::new();
    for name in disk.names().into_iter().filter(|name| name.ends_with(".wal")) {
        let contents = disk.contents(&name).unwrap();
        for at in (0..120).step_by(step.div_ceil(8)).chain((4096..contents.len()).step_by(step)) {
            damages.push((name.clone(), at as u64, vec![contents[at] ^ 0x41]));
        }
        for at in (0..contents.len()).step_by(512 * step.div_ceil(16)) {
            damages.push((name.clone(), at as u64, vec![0; 512.min(contents.len() - at)]));
        }
    }
    damages
}

/// Damages the log in every way: the tools agree with opening, and a repair keeps its promises.
fn agree(disk: &MemStorage, step: usize) -> [usize; 3] {
    let was = opened(disk).unwrap();
    assert!(verify(disk).unwrap().is_sound());
    let (sound, left) = was.check(disk, "nothing");
    assert!(sound.is_lossless() && sound.damage.is_empty() && left == was.records);
    let mut counts = [0; 3];
    for (name, at, bytes) in damages(disk, step) {
        let what = format!("{name} byte {at}, {} bytes", bytes.len());
        let damaged = disk.process_killed();
        damaged.damage(&name, at, &bytes);
        let found = verify(&damaged).unwrap_or_else(|error| panic!("{what}: {error}"));
        match opened(&damaged) {
            Some(shown) => {
                assert!(found.is_sound(), "{what}: it opens, and {:?}", found.inspection.damage);
                let (repaired, left) = was.check(&damaged, &what);
                assert!(repaired.is_lossless() && left == shown.records, "{what}");
                counts[usize::from(left != was.records)] += 1;
            }
            None => {
                assert!(!found.is_sound(), "{what}: it is refused, and nothing is found");
                was.check(&damaged, &what);
                counts[2] += 1;
            }
        }
    }
    println!("{counts:?}: unchanged, shorter, damaged");
    counts
}

#[test]
fn logs_of_version_1_are_looked_at_and_repaired() {
    let [unchanged, _, damaged] = agree(&golden(1), 5);
    assert!(unchanged > 0 && damaged > 500);
}

#[test]
fn logs_of_version_2_are_looked_at_and_repaired() {
    let [unchanged, _, damaged] = agree(&golden(2), 15);
    assert!(unchanged > 500 && damaged > 500);
}

#[test]
fn what_an_earlier_segment_left_in_a_file_is_never_taken_for_its_own() {
    for closed in [true, false] {
        let disk = recycled(closed);
        let is_recycled = |name: &String| name.ends_with(".wal") && disk.contents(name).unwrap()[12] & 2 != 0;
        assert!(disk.names().iter().filter(|name| is_recycled(name)).count() >= 2);
        let found = inspect(&disk).unwrap();
        assert!(found.totals().compression_ratio().unwrap() < 0.7);
        assert_eq!(found.tail, if closed { TailReport::Closed } else { TailReport::Open });
        let [unchanged, _, damaged] = agree(&disk, 67);
        assert!(unchanged > 500 && damaged > 200);
    }
}

#[test]
fn a_segment_that_is_ready_is_a_spare_and_no_part_of_the_log() {
    let disk = MemStorage::new();
    let log = open_with(&disk, Settings { segment_bytes: 64 << 10, segment_ahead: true, ..small() }).unwrap();
    let records = fill(&log, 0..3, 500);
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while !disk.names().iter().any(|name| name == SECOND) {
        assert!(std::time::Instant::now() < deadline, "no segment was made ahead: {:?}", disk.names());
        thread::yield_now();
    }
    let image = disk.process_killed();
    drop(log);
    let of = |disk: &MemStorage| {
        let found = verify(disk).unwrap();
        assert!(found.is_sound(), "{:?}", found.inspection.damage);
        let kinds: Vec<_> =
            found.inspection.spares.iter().map(|spare| (spare.name.clone(), spare.kind)).collect();
        (found.inspection.segments.len(), kinds)
    };
    let as_ready = (1, vec![(SECOND.to_owned(), SpareKind::Ready)]);
    assert_eq!(of(&image), as_ready);
    // What an earlier segment left there, whole frames of it, changes nothing.
    let first = image.contents(FIRST).unwrap();
    image.damage(SECOND, 4096, &first[4096..4 * 4096]);
    assert_eq!(of(&image), as_ready);
    let (to, repaired) = mend(&image);
    assert!(repaired.unwrap().is_lossless());
    assert_eq!(read_all(&open(&to).unwrap()).unwrap(), records);
    assert_eq!(inspect(&to).unwrap().spares, []);
}

#[test]
fn the_first_frame_of_the_last_segment_is_missed_when_a_later_one_proves_it() {
    let disk = MemStorage::new();
    let log = open_with(&disk, Settings { segment_bytes: 28 << 10, ..small() }).unwrap();
    log.pin(b"key", b"value").unwrap().wait().unwrap();
    fill(&log, 0..6, 2000);
    log.close().unwrap();
    let last = disk.names().pop().unwrap();
    let was = opened(&disk).unwrap();
    disk.damage(&last, 4096 + 40, b"XX");
    assert!(
        matches!(open(&disk.process_killed()), Err(LogError::Corrupt { segment, offset: 4096, .. }) if segment == last)
    );
    let found = verify(&disk).unwrap().inspection;
    let told: Vec<_> =
        found.damage.iter().map(|damage| (damage.segment.as_str(), damage.offset, damage.lost)).collect();
    assert_eq!(told, [(last.as_str(), 4096, None)]);
    assert_eq!((found.tail, found.spares.len()), (TailReport::Closed, 0));
    let (_, left) = was.check(&disk, "the first frame");
    assert_eq!(left, was.records);
    // The whole first page: the records with it are lost, and those behind it are not.
    disk.damage(&last, 4096, &[0; 4096]);
    let (repaired, left) = was.check(&disk, "the first page");
    assert_eq!(left.len(), was.records.len() - 1, "{:?}", repaired.damage);
}

#[test]
fn the_beginning_of_a_truncated_log_stays_gone_without_its_first_frame() {
    let disk = MemStorage::new();
    let log = open_with(&disk, Settings { segment_bytes: 28 << 10, ..small() }).unwrap();
    fill(&log, 0..12, 2000);
    log.truncate_before(Lsn::new(8)).unwrap();
    let start = log.start();
    assert!(start > Lsn::FIRST);
    log.close().unwrap();
    let first = disk.names().into_iter().find(|name| name.ends_with(".wal")).unwrap();
    disk.damage(&first, 4096 + 40, b"XX");
    let (to, repaired) = mend(&disk);
    assert_eq!(repaired.unwrap().start, Some(start));
    let log = open(&to).unwrap();
    assert_eq!(log.start(), start);
    assert!(matches!(log.follow(Lsn::FIRST), Err(LogError::Truncated { .. })));
}

#[test]
fn numbers_of_compressed_records_are_not_given_again() {
    let disk = MemStorage::new();
    let settings = Settings { segment_bytes: 256 << 10, compression: Compression::lz4(), ..small() };
    let log = open_with(&disk, Settings { durability: Durability::Os, ..settings }).unwrap();
    append(&log, b"first").unwrap();
    // Many records in few bytes.
    let last = common::batch(&log, &vec![Vec::new(); 7000]).unwrap();
    log.close().unwrap();
    let found = inspect(&disk).unwrap();
    let used: u64 = found.segments.iter().map(|segment| segment.used_bytes).sum();
    assert!(used < 7000 * 8 / 2, "{used} bytes");
    // The frame of the 7,000 and all behind it.
    let name = disk.names()[0].clone();
    let contents = disk.contents(&name).unwrap();
    let at = (4096..contents.len() - 32)
        .step_by(8)
        .find(|at| contents[*at..].starts_with(&[0xa3, 0xf7, 1]))
        .unwrap();
    disk.damage(&name, at as u64 + 40, b"XXXX");
    let (_, repaired) = mend(&disk);
    let repaired = repaired.unwrap();
    assert!(repaired.next > last, "{} {last}", repaired.next);
}
