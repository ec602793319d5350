//! What opening, `verify` and `repair` say of one damaged log: the same, and nothing that was there is passed over in silence.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    PATIENCE, append, fill,
    mended::{Records, Was, mend},
    open, open_with, payload, small,
};
use standpipe_log::Storage as _;
use standpipe_testkit::MemStorage;
use standpipe_wal::{Log, LogError, Lsn, Settings, SpareKind, TailReport, Ticket, inspect, verify};

/// A log of several segments with the next one made ahead of its time; closed, or killed with all of it proven.
struct Sample {
    disk: MemStorage,
    was: Was,
    /// The newest segment that was begun, and the number that it begins with.
    newest: String,
    base: u64,
    ready: String,
}

impl Sample {
    fn closed() -> Self {
        Sample::new(MemStorage::new(), Records::new(), true, 32 << 10)
    }

    fn killed() -> Self {
        Sample::new(MemStorage::new(), Records::new(), false, 32 << 10)
    }

    /// Goes on with a log until the next segment is ready and some records lie in the newest one.
    fn new(disk: MemStorage, mut records: Records, closed: bool, segment_bytes: u64) -> Self {
        let settings = Settings { segment_ahead: true, segment_bytes, ..small() };
        let log = open_with(&disk, settings).unwrap();
        log.pin(b"schema", b"a bigint").unwrap().wait().unwrap();
        let deadline = std::time::Instant::now() + PATIENCE;
        let (newest, ready) = loop {
            assert!(std::time::Instant::now() < deadline, "no segment was made ahead");
            let number = records.len() as u64;
            records.extend(fill(&log, number..number + 1, 700));
            let found = inspect(&disk).unwrap();
            let ready = found.spares.into_iter().find(|spare| spare.kind == SpareKind::Ready);
            match (found.segments.last(), ready) {
                (Some(last), Some(ready)) if last.sequence > 2 && last.totals.data_records > 2 => {
                    break (last.name.clone(), ready.name);
                }
                _ => {}
            }
        };
        let left = if closed {
            log.close().unwrap();
            disk.process_killed()
        } else {
            disk.process_killed()
        };
        drop(log);
        let found = inspect(&left).unwrap();
        let last = found.segments.last().unwrap();
        assert_eq!((&last.name, found.tail == TailReport::Closed), (&newest, closed));
        let base = last.base.number();
        let was = Was { records, pins: vec![(b"schema".to_vec(), b"a bigint".to_vec())], is_closed: closed };
        Sample { disk: left, was, newest, base, ready }
    }

    /// Damages a copy: opening refuses it, `verify` says so, and the repair keeps its promises. The records that are lost.
    fn lost(&self, what: &str, change: impl Fn(&MemStorage)) -> Vec<u64> {
        let damaged = self.disk.process_killed();
        change(&damaged);
        let refused = open(&damaged.process_killed()).err();
        assert!(matches!(refused, Some(LogError::Corrupt { .. })), "{what}: opening says {refused:?}");
        let found = verify(&damaged).unwrap();
        assert!(!found.is_sound(), "{what}");
        let (repaired, left) = self.was.check(&damaged, what);
        let lost: Vec<u64> = self.was.records.keys().filter(|lsn| !left.contains_key(lsn)).copied().collect();
        assert!(lost.is_empty() || !repaired.is_lossless() && found.is_lossy(), "{what}");
        lost
    }

    fn of_newest(&self) -> Vec<u64> {
        self.was.records.range(self.base..).map(|record| *record.0).collect()
    }
}

fn zero_frames(disk: &MemStorage, name: &str) {
    let len = disk.contents(name).unwrap().len();
    disk.damage(name, 4096, &vec![0; len - 4096]);
}

#[test]
fn the_frames_of_the_newest_segment_are_missed_where_the_next_one_was_made() {
    let sample = Sample::closed();
    let all = sample.of_newest();
    assert!(all.len() > 2);
    assert_eq!(sample.lost("zeroed frames", |disk| zero_frames(disk, &sample.newest)), all);
    let other = sample.disk.contents("00000000000000000002.wal").unwrap();
    let foreign = |disk: &MemStorage| _ = disk.damage(&sample.newest, 4096, &other[4096..]);
    assert_eq!(sample.lost("frames of another segment", foreign), all);
    let told = {
        zero_frames(&sample.disk, &sample.newest);
        verify(&sample.disk).unwrap().inspection
    };
    assert_eq!(told.tail, TailReport::Damaged);
    assert_eq!(told.damage.len(), 1);
    let lost = told.damage[0].lost.unwrap();
    assert_eq!((lost.from, lost.to), (Some(Lsn::new(sample.base)), None), "nobody can say how many");
}

#[test]
fn a_log_of_one_segment_without_a_sound_frame_has_lost_all_of_it() {
    let disk = MemStorage::new();
    let log = open_with(&disk, Settings { segment_bytes: 64 << 10, ..small() }).unwrap();
    let records = fill(&log, 0..3, 100).into_iter().collect();
    log.close().unwrap();
    drop(log);
    zero_frames(&disk, &disk.names()[0]);
    assert!(matches!(open(&disk.process_killed()), Err(LogError::Corrupt { .. })));
    let (repaired, left) = Was { records, pins: Vec::new(), is_closed: true }.check(&disk, "zeroed");
    assert!(left.is_empty() && !repaired.is_lossless());
}

#[test]
fn the_newest_segment_is_missed_where_the_next_one_names_it() {
    let sample = Sample::closed();
    let all = sample.of_newest();
    assert_eq!(sample.lost("removed", |disk| disk.remove(&sample.newest).unwrap()), all);
    let before = "00000000000000000002.wal";
    let two = |disk: &MemStorage| {
        for name in disk.names().into_iter().filter(|name| name.as_str() > before && *name != sample.ready) {
            disk.remove(&name).unwrap();
        }
    };
    let lost = sample.lost("all but two removed", two);
    assert!(lost.len() >= all.len());
    let renamed = |disk: &MemStorage| {
        disk.rename(&sample.ready, "00000000000000000099.wal").unwrap();
    };
    assert_eq!(sample.lost("the next one has another name", renamed), Vec::<u64>::new());
    // Nothing at all is left: neither a record, nor a number that could be gone on with.
    let damaged = sample.disk.process_killed();
    for name in damaged.names().into_iter().filter(|name| *name != sample.ready) {
        damaged.remove(&name).unwrap();
    }
    assert!(matches!(open(&damaged.process_killed()), Err(LogError::Corrupt { .. })));
    assert!(!verify(&damaged).unwrap().is_sound());
    let (_, refused) = mend(&damaged);
    assert!(
        matches!(&refused, Err(LogError::Corrupt { what, .. }) if what.contains("which numbers")),
        "{refused:?}"
    );
}

#[test]
fn an_older_one_in_the_place_of_the_newest_segment_is_not_taken_for_it() {
    let first = Sample::closed();
    let old = first.disk.contents(&first.newest).unwrap();
    // Opening copies it to a segment of the same number, and goes on there.
    let sample = Sample::new(first.disk.process_killed(), first.was.records.clone(), true, 128 << 10);
    assert_eq!(sample.newest, first.newest);
    let back = |disk: &MemStorage| {
        disk.shorten(&sample.newest, 0);
        disk.damage(&sample.newest, 0, &old);
    };
    assert!(!sample.lost("an older one", back).is_empty());
    // And the same frames under a header that names another one.
    let name = &sample.newest;
    let alien = |disk: &MemStorage| {
        let mut bytes = disk.contents(name).unwrap();
        bytes[40..48].copy_from_slice(&7u64.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..4092]).to_le_bytes();
        bytes[4092..4096].copy_from_slice(&checksum);
        disk.damage(name, 0, &bytes[..4096]);
    };
    assert_eq!(sample.lost("of another incarnation", alien), sample.of_newest());
}

#[test]
fn the_next_segment_vouches_for_the_newest_one() {
    let sample = Sample::closed();
    let header = |disk: &MemStorage| _ = disk.damage(&sample.newest, 0, &[0; 4096]);
    assert_eq!(sample.lost("the header", header), Vec::<u64>::new());
    let damaged = sample.disk.process_killed();
    header(&damaged);
    assert!(mend(&damaged).1.unwrap().is_lossless(), "the close says that nothing follows");
    // Without the close nobody can say that nothing follows, and the numbers that may have are not given again.
    let killed = Sample::killed();
    let damaged = killed.disk.process_killed();
    damaged.damage(&killed.newest, 0, &[0; 4096]);
    let (repaired, left) = killed.was.check(&damaged, "the header of a killed log");
    assert_eq!(left, killed.was.records);
    assert!(!repaired.is_lossless() && repaired.next.number() > 10_000, "{repaired:?}");
}

#[test]
fn a_file_that_is_shorter_than_what_was_reserved_has_lost_something() {
    let sample = Sample::closed();
    let contents = sample.disk.contents(&sample.newest).unwrap();
    let used = contents.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    let mut lossy = 0;
    for len in (4096..used).step_by(512) {
        let lost = sample.lost(&format!("cut to {len}"), |disk| _ = disk.shorten(&sample.newest, len));
        lossy += usize::from(!lost.is_empty());
    }
    assert!(lossy > 4);
    // What comes behind the close is nothing.
    for len in [used.next_multiple_of(4096), contents.len() as u64 - 1] {
        let cut = sample.disk.process_killed();
        cut.shorten(&sample.newest, len);
        assert!(verify(&cut).unwrap().is_sound());
        assert_eq!(common::read_all(&open(&cut).unwrap()).unwrap().len(), sample.was.records.len());
    }
    // Of one that was not closed nobody can say so.
    let killed = Sample::killed();
    let last = killed.disk.contents(&killed.newest).unwrap().len() as u64 - 1;
    assert_eq!(
        killed.lost("cut by one byte", |disk| _ = disk.shorten(&killed.newest, last)),
        Vec::<u64>::new()
    );
}

#[test]
fn numbers_of_a_segment_that_is_gone_are_not_given_again() {
    // More of them than the segments that are left could hold.
    let disk = MemStorage::new();
    let settings =
        Settings { segment_ahead: true, segment_bytes: 256 << 10, record_bytes_max: 1 << 20, ..small() };
    let log = open_with(&disk, settings).unwrap();
    append(&log, &payload(1, 5000)).unwrap();
    let last = common::batch(&log, &vec![Vec::new(); 100_000]).unwrap();
    append(&log, &payload(2, 100)).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !inspect(&disk).unwrap().spares.iter().any(|spare| spare.kind == SpareKind::Ready) {
        assert!(std::time::Instant::now() < deadline, "no segment was made ahead");
        std::thread::yield_now();
    }
    log.close().unwrap();
    let image = disk.process_killed();
    let newest = inspect(&image).unwrap().segments.last().unwrap().name.clone();
    image.remove(&newest).unwrap();
    let (_, repaired) = mend(&image);
    let repaired = repaired.unwrap();
    assert!(repaired.next > last, "{} is below {last}", repaired.next);
}
