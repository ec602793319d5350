//! Looking at logs: inspect, verify and dump, on sound logs, damaged ones and ones that are being written.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use common::{append, batch, fill, open_with, payload, small};
use standpipe_log::Storage as _;
use standpipe_testkit::{CallKind, Fault, MemStorage};
use standpipe_wal::{
    Dir, Durability, Log, LogError, Lsn, Part, ReadOnlyDir, Record, Settings, Shown, SpareKind, TailReport,
    Ticket, Wal, dump, inspect, verify, verify_watched,
};

const FIRST: &str = "00000000000000000001.wal";
const SECOND: &str = "00000000000000000002.wal";
const THIRD: &str = "00000000000000000003.wal";

/// Four segments of 28 KiB with 17 records of 3,000 bytes, a pin, a batch and a gap.
fn sample() -> MemStorage {
    let disk = MemStorage::new();
    let log = open_with(&disk, Settings { segment_bytes: 28 << 10, ..small() }).unwrap();
    log.pin(b"key", b"value").unwrap().wait().unwrap();
    fill(&log, 0..7, 3000);
    batch(&log, &[payload(7, 100), payload(8, 100)]).unwrap();
    log.advance_to(Lsn::new(20)).unwrap();
    fill(&log, 9..17, 3000);
    log.close().unwrap();
    disk
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

/// Everything shown, a line each.
fn lines(disk: &MemStorage, part: Part) -> (Vec<String>, Result<u64, LogError>) {
    let mut lines = Vec::new();
    let dumped = dump(disk, part, &mut |shown| {
        match shown {
            Shown::Record { lsn, payload } => {
                let text = String::from_utf8_lossy(payload);
                lines.push(format!("{lsn} {}", text.split(' ').nth(1).unwrap_or("?")));
            }
            Shown::Pin { lsn, key, value, is_restated: false } => lines.push(format!(
                "pin {lsn} {} {}",
                String::from_utf8_lossy(key),
                String::from_utf8_lossy(value)
            )),
            Shown::Gap { from, to } => lines.push(format!("gap {from} {to}")),
            Shown::Damage(damage) => {
                lines.push(format!(
                    "damage {}",
                    damage.lost.map_or("nothing".into(), |lost| lost.to_string())
                ));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    (lines, dumped.map(|dumped| dumped.records))
}

#[test]
fn an_inspection_adds_up() {
    let disk = sample();
    let found = inspect(&disk).unwrap();
    let totals = found.totals();
    assert_eq!((totals.data_records, found.pins, found.segments.len()), (17, 1, 4));
    assert_eq!(totals.data_bytes, 15 * 3000 + 200);
    assert_eq!(totals.compression_ratio(), Some(1.0));
    assert_eq!(found.pinned, [(b"key".to_vec(), b"value".to_vec())]);
    assert_eq!((found.start, found.end), (Some(Lsn::FIRST), Some(Lsn::new(28))));
    let mean = totals.records_per_frame().unwrap();
    assert!((1.0..1.2).contains(&mean), "{mean}");
    let frames: u64 = found.segments.iter().map(|segment| segment.frames).sum();
    let used: u64 = found.segments.iter().map(|segment| segment.used_bytes).sum();
    let headers = 4096 * found.segments.len() as u64 + 32 * frames;
    assert_eq!(used, headers + totals.stored_bytes + totals.padding_bytes, "every byte is counted once");
    assert!(found.segments.iter().all(|segment| segment.used_bytes <= segment.allocated_bytes));
    assert_eq!(found.segments.iter().filter(|segment| segment.is_sealed).count(), 3);
    assert_eq!((found.tail, found.damage.len()), (TailReport::Closed, 0));
}

#[test]
fn other_files_are_told_apart() {
    let disk = sample();
    for name in ["notes.txt", "00000000000000000009.wal.new", "00000000000000000001.wal.free", "1.wal"] {
        disk.create(name).unwrap();
    }
    let found = inspect(&disk).unwrap();
    assert_eq!(found.strangers, ["1.wal", "notes.txt"]);
    let kinds: Vec<_> = found.spares.iter().map(|spare| spare.kind).collect();
    assert_eq!(kinds, [SpareKind::Free, SpareKind::Draft]);
    assert!(verify(&disk).unwrap().is_sound());
    let empty = inspect(&MemStorage::new()).unwrap();
    assert_eq!((empty.id, empty.segments.len(), empty.damage.len()), (None, 0, 0));
}

#[test]
fn nothing_is_written_by_looking() {
    let disk = sample();
    let (name, at) = place_of(&disk, 3);
    for damaged in [false, true] {
        if damaged {
            disk.damage(&name, at, b"X");
        }
        let before: Vec<_> = disk.names().iter().map(|name| disk.contents(name)).collect();
        let calls = disk.trace().len();
        inspect(&disk).unwrap();
        verify(&disk).unwrap();
        lines(&disk, Part { skips_damage: true, ..Part::default() }).1.unwrap();
        let changing = disk.trace()[calls..].iter().filter(|call| call.kind.changes_disk()).count();
        let after: Vec<_> = disk.names().iter().map(|name| disk.contents(name)).collect();
        assert!(changing == 0 && before == after);
    }
}

#[test]
fn damage_is_told_with_what_it_took_and_the_rest_is_read() {
    let disk = sample();
    let (name, at) = place_of(&disk, 1);
    assert_eq!(name, FIRST);
    disk.damage(&name, at, b"X");
    let (last, at) = place_of(&disk, 14);
    disk.damage(&last, at, &[0; 700]);
    let found = verify(&disk).unwrap();
    let damage: Vec<_> = found
        .inspection
        .damage
        .iter()
        .map(|damage| (damage.segment.as_str(), damage.lost.unwrap().to_string()))
        .collect();
    assert_eq!(damage, [(FIRST, "record 2".to_owned()), (last.as_str(), "record 25".to_owned())]);
    assert!(found.is_lossy() && !found.is_sound());
    assert_eq!(found.inspection.totals().data_records, 15);
    assert_eq!(found.inspection.tail, TailReport::Closed);
}

#[test]
fn missing_and_unprovable_segments_are_told_with_their_numbers() {
    let told = |disk: &MemStorage| -> Vec<String> {
        let damage = verify(disk).unwrap().inspection.damage;
        damage.iter().map(|damage| damage.lost.map_or("nothing".into(), |lost| lost.to_string())).collect()
    };
    let disk = sample();
    let bases: Vec<u64> = inspect(&disk).unwrap().segments.iter().map(|s| s.base.number()).collect();

    let gone = disk.process_killed();
    gone.remove(SECOND).unwrap();
    gone.remove(THIRD).unwrap();
    assert_eq!(told(&gone), [format!("records {} to {}", bases[1], bases[3] - 1)]);

    // The header is damaged, and the successor vouches for the frames.
    let header = disk.process_killed();
    header.damage(SECOND, 50, b"X");
    assert_eq!(told(&header), ["nothing"]);
    assert_eq!(inspect(&header).unwrap().totals().data_records, 17);

    // Nobody vouches for the last one.
    let last = disk.names().pop().unwrap();
    let header = disk.process_killed();
    header.damage(&last, 50, b"X");
    assert_eq!(told(&header), [format!("all records from {} on", bases[3])]);
    assert_eq!(inspect(&header).unwrap().tail, TailReport::Damaged);

    // Two in a row: nobody vouches for the first of them.
    let two = disk.process_killed();
    two.damage(SECOND, 50, b"X");
    two.damage(THIRD, 50, b"X");
    assert_eq!(told(&two), [format!("records {} to {}", bases[1], bases[2] - 1), "nothing".to_owned()]);

    // One under the name of another.
    let swapped = disk.process_killed();
    swapped.damage(SECOND, 0, &disk.contents(THIRD).unwrap());
    assert_eq!(told(&swapped), [format!("records {} to {}", bases[1], bases[2] - 1)]);

    // Cut off within a frame.
    let short = disk.process_killed();
    short.shorten(SECOND, 9000);
    assert_eq!(told(&short), [format!("records {} to {}", bases[1] + 1, bases[2] - 1)]);
}

#[test]
fn a_page_that_the_disk_cannot_read_is_damage() {
    let disk = sample();
    let calls = disk.trace().len();
    verify(&disk).unwrap();
    let reads: Vec<_> =
        disk.trace()[calls..].iter().filter(|call| call.kind == CallKind::ReadAt).cloned().collect();
    // The last time: the first one is that of the first frame alone, when the segments are put in their order.
    let nth = reads.iter().rposition(|call| call.file == SECOND && call.offset == 4096).unwrap() as u64 + 1;
    // The whole read, then the one of its first page.
    disk.fail_nth(CallKind::ReadAt, nth, Fault::EIO);
    disk.fail_nth(CallKind::ReadAt, nth + 1, Fault::EIO);
    let found = verify(&disk).unwrap();
    assert_eq!(found.inspection.damage.len(), 1);
    assert!(found.inspection.damage[0].what.contains("cannot read"), "{:?}", found.inspection.damage);
    // A disk that reads nothing at all.
    disk.clear_faults();
    disk.fail_every(CallKind::ReadAt, Fault::EIO);
    let nothing = verify(&disk).unwrap();
    assert_eq!((nothing.inspection.damage.len(), nothing.frames()), (4, 0));
    // Want of rights is no damage.
    disk.clear_faults();
    disk.fail_every(CallKind::Open, Fault::Os(13));
    assert!(matches!(verify(&disk), Err(LogError::Io { .. })));
}

#[test]
fn l14_lengths_that_are_only_claimed_are_not_made_room_for() {
    let disk = sample();
    // A first frame, right by its checksum, that says that the segment before it ends beyond all bounds.
    let mut third = disk.contents(THIRD).unwrap();
    let frame = 4096..4096 + 32 + u32::from_le_bytes(third[4104..4108].try_into().unwrap()) as usize;
    third[4136..4144].copy_from_slice(&(1u64 << 40).to_le_bytes());
    let seed = crc32c::crc32c(&third[40..48]);
    let checksum =
        crc32c::crc32c_append(crc32c::crc32c_append(seed, &third[4096..4100]), &third[4104..frame.end]);
    third[4100..4104].copy_from_slice(&checksum.to_le_bytes());
    disk.damage(THIRD, 4096, &third[frame]);
    // And frames there that say that they are as long as a frame can be.
    let contents = disk.contents(SECOND).unwrap();
    for at in (4096..contents.len()).step_by(8).filter(|at| contents[*at..].starts_with(&[0xa3, 0xf7])) {
        disk.damage(SECOND, at as u64 + 8, &(1u32 << 30).to_le_bytes());
    }
    let calls = disk.trace().len();
    let found = verify(&disk).unwrap();
    assert!(!found.is_sound());
    assert!(found.inspection.segments[1].is_sealed, "the link is believed so far");
    lines(&disk, Part { skips_damage: true, ..Part::default() }).1.unwrap();
    let most = disk.trace()[calls..].iter().map(|call| call.len).max().unwrap();
    assert!(most <= 28 << 10, "asked for {most} bytes of a file of 28 KiB");
}

#[test]
fn a_dump_has_records_pins_and_gaps_in_their_order() {
    let disk = sample();
    let (all, count) = lines(&disk, Part::default());
    let mut expected = vec!["pin 1 key value".to_owned()];
    expected.extend((1..=9).map(|lsn| format!("{lsn} {}", lsn - 1)));
    expected.push("gap 10 20".to_owned());
    expected.extend((20..=27).map(|lsn| format!("{lsn} {}", lsn - 11)));
    assert_eq!((all, count.unwrap()), (expected, 17));
}

#[test]
fn a_part_is_found_without_reading_what_is_before_it() {
    let disk = sample();
    let part = |from: u64, to: u64, limit: u64| Part {
        from: Lsn::new(from),
        to: Lsn::new(to),
        limit,
        ..Part::default()
    };
    assert_eq!(lines(&disk, part(3, 4, 10)).0, ["3 2", "4 3"]);
    assert_eq!(lines(&disk, part(8, 100, 3)).0, ["8 7", "9 8", "gap 10 20", "20 9"]);
    assert_eq!(lines(&disk, part(12, 21, 9)).0, ["gap 12 20", "20 9", "21 10"]);
    assert_eq!(lines(&disk, part(12, 15, 9)).0, ["gap 12 16"]);
    assert_eq!(lines(&disk, part(28, 99, 9)).0, Vec::<String>::new());
    // Damage below the part is not met, for sealed segments below it are not read.
    disk.damage(FIRST, 5000, &[0xff; 100]);
    let calls = disk.trace().len();
    assert_eq!(lines(&disk, part(26, 27, 9)).0, ["26 15", "27 16"]);
    let frames_of_the_first =
        disk.trace()[calls..].iter().filter(|call| call.file == FIRST && call.offset > 4096).count();
    assert_eq!(frames_of_the_first, 0, "but for the first one, which says how it begins");
}

#[test]
fn a_dump_stops_at_damage_or_passes_it() {
    let disk = sample();
    let (name, at) = place_of(&disk, 2);
    disk.damage(&name, at, b"X");
    let (shown, outcome) = lines(&disk, Part::default());
    assert_eq!(shown, ["pin 1 key value", "1 0", "2 1"]);
    assert!(matches!(outcome, Err(LogError::Corrupt { lsn, .. }) if lsn == Lsn::new(3)));
    let (shown, outcome) = lines(&disk, Part { skips_damage: true, ..Part::default() });
    assert_eq!(outcome.unwrap(), 16);
    assert_eq!(shown[2..6], ["2 1", "damage record 3", "gap 3 4", "4 3"]);
}

#[test]
fn whoever_has_seen_enough_is_shown_no_more() {
    let disk = sample();
    let mut shown = 0;
    dump(&disk, Part::default(), &mut |_| {
        shown += 1;
        if shown == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(shown, 3);
    let stopped = verify_watched(&disk, &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(LogError::Io { .. })));
    let mut last = None;
    verify_watched(&disk, &mut |progress| {
        last = Some(progress);
        ControlFlow::Continue(())
    })
    .unwrap();
    let last = last.unwrap();
    assert_eq!(last.done_bytes, last.total_bytes);
}

#[test]
fn beside_an_owner_that_writes_and_truncates_nothing_looks_damaged() {
    beside(Settings { durability: Durability::Os, segment_bytes: 8 << 10, ..small() });
}

#[test]
fn beside_an_owner_that_makes_segments_ahead_of_old_ones_nothing_looks_damaged() {
    beside(Settings { segment_ahead: true, segment_bytes: 32 << 10, ..small() });
}

fn beside(settings: Settings) {
    let disk = MemStorage::new();
    let log = Arc::new(open_with(&disk, settings).unwrap());
    let over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (log, over) = (log.clone(), over.clone());
        thread::spawn(move || {
            let mut number = 0;
            while !over.load(Ordering::Relaxed) {
                let last = append(&*log, &payload(number, 300)).unwrap();
                number += 1;
                if number % 50 == 0 {
                    log.truncate_before(Lsn::new(last.number().saturating_sub(60))).unwrap();
                }
            }
        })
    };
    let deadline = std::time::Instant::now() + common::PATIENCE;
    let (mut highest, mut round) = (0, 0);
    while highest < 3000 || round < 60 {
        assert!(std::time::Instant::now() < deadline, "only {highest} records in {round} rounds");
        round += 1;
        let found = match verify(&disk) {
            Ok(found) => found,
            // More than a picture's worth of truncation: said, and no damage.
            Err(LogError::Invalid(what)) if what.contains("faster than") => continue,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found.inspection.damage, [], "round {round}");
        let end = found.inspection.end.map_or(0, Lsn::number);
        assert!(end > highest, "round {round}: it ends at {end}, and {highest} was seen");
        let mut before = 0;
        dump(&disk, Part::default(), &mut |shown| {
            if let Shown::Record { lsn, .. } = shown {
                assert!(lsn.number() > before, "in order, each once");
                before = lsn.number();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        highest = before.max(highest);
    }
    over.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}

#[test]
fn a_directory_is_opened_for_reading_only() {
    let place = tempfile::tempdir().unwrap();
    let log = Wal::open(place.path(), Settings { segment_bytes: 64 << 10, ..small() }).unwrap();
    log.append(Record::new(&[b"hello"])).unwrap().wait().unwrap();
    // Beside its owner.
    let dir = ReadOnlyDir::open(place.path()).unwrap();
    assert_eq!(inspect(&dir).unwrap().totals().data_records, 1);
    assert_eq!(dir.lock().err().unwrap().kind(), std::io::ErrorKind::WouldBlock);
    log.close().unwrap();
    drop(log);
    for path in std::fs::read_dir(place.path()).unwrap() {
        let path = path.unwrap().path();
        let mut rights = std::fs::metadata(&path).unwrap().permissions();
        rights.set_readonly(true);
        std::fs::set_permissions(&path, rights).unwrap();
    }
    assert!(verify(&dir).unwrap().is_sound());
    assert!(dir.create("x").is_err() && dir.remove(FIRST).is_err() && dir.rename(FIRST, "x").is_err());
    assert!(dir.sync_dir().is_err() && dir.open("../x").is_err() && dir.open("").is_err());
    let file = dir.open(FIRST).unwrap();
    use standpipe_log::File as _;
    assert!(file.write_at(b"x", 0).is_err() && file.allocate(1).is_err() && file.sync_data().is_err());
    // Links are not followed, and said.
    std::os::unix::fs::symlink(place.path().join(FIRST), place.path().join(SECOND)).unwrap();
    std::fs::create_dir(place.path().join(THIRD)).unwrap();
    assert_eq!(dir.misfits().unwrap(), [SECOND, THIRD]);
    assert!(dir.open(SECOND).is_err());
    assert!(verify(&dir).unwrap().is_sound());
    assert!(ReadOnlyDir::open(place.path().join("nowhere")).is_err());
    assert!(ReadOnlyDir::open(place.path().join(FIRST)).is_err());
    drop(Dir::open_existing(place.path()).unwrap());
}
