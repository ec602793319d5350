//! The power goes at every call that changes the disk, in many ways, and the log is opened on what is left.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use common::{
    batch, open, payload, read_all, small,
    truth::{Truth, set},
};
use standpipe_log::Storage;
use standpipe_testkit::{CallKind, Cut, Fault, MemStorage, Planted, StorageMistake};
use standpipe_wal::{Log, LogError, Lsn, Record, Settings, Ticket, Wal};

#[derive(Default)]
struct Tally {
    points: usize,
    images: HashSet<u64>,
    recoveries: usize,
    opened: usize,
    wrong: Vec<String>,
}

/// Tells images apart.
fn fingerprint(image: &MemStorage) -> u64 {
    image.names().iter().fold(0, |print: u64, name| {
        let contents = image.contents(name).unwrap_or_default();
        let sum = u64::from(crc32c::crc32c(name.as_bytes())) << 32 | u64::from(crc32c::crc32c(&contents));
        print.rotate_left(7) ^ sum
    })
}

/// Opens what is left, checks it, goes on with it, and checks that too.
fn examine(image: &MemStorage, truth: &Truth, what: &str) -> Result<(), String> {
    let said = |error: LogError| format!("{what}: {error}");
    let log = open(image).map_err(said)?;
    if truth.id.is_some_and(|id| id != log.identity()) {
        return Err(format!("{what}: another identity"));
    }
    let left = read_all(&log).map_err(said)?;
    truth.check(&left, &log.pinned().into_iter().collect()).map_err(|wrong| format!("{what}: {wrong}"))?;
    let highest = left.last().map_or(0, |record| record.0);
    let next = common::append(&log, b"after the cut").map_err(said)?;
    if next.number() <= highest.max(truth.floor.saturating_sub(1)) {
        return Err(format!("{what}: number {next} was given again"));
    }
    let mut expected = left;
    expected.push((next.number(), b"after the cut".to_vec()));
    // Once more, without a close, and with all that the last opening did not sync lost.
    let again = open(&image.power_cut(Cut::LoseUnsynced)).map_err(said)?;
    if read_all(&again).map_err(said)? != expected {
        return Err(format!("{what}: opening twice gives something else"));
    }
    Ok(())
}

/// One machine with a log on it, watched at every call.
struct World<S: Storage> {
    disk: MemStorage,
    wrap: fn(MemStorage) -> S,
    truth: Arc<Mutex<Truth>>,
    log: Option<Wal<S>>,
    settings: Settings,
}

impl<S: Storage> World<S> {
    fn new(wrap: fn(MemStorage) -> S, segment_bytes: u64, most: usize) -> (Self, Arc<Mutex<Tally>>) {
        let disk = MemStorage::new();
        let truth = Arc::new(Mutex::new(Truth::default()));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (seen, expected, counted) = (disk.clone(), truth.clone(), tally.clone());
        disk.on_call(move |call| {
            if call.kind.changes_disk() {
                let truth = expected.lock().unwrap().clone();
                survey(&seen, &truth, &mut counted.lock().unwrap(), most, &format!("before call {call:?}"));
            }
        });
        let settings = Settings { segment_bytes, ..small() };
        (World { disk, wrap, truth, log: None, settings }, tally)
    }

    fn open(&mut self) {
        self.log = None;
        let settings =
            Settings { entropy: common::counting(self.disk.calls() << 8), ..self.settings.clone() };
        let log = Wal::open_in((self.wrap)(self.disk.clone()), settings).unwrap();
        let left = read_all(&log).unwrap();
        let pins = log.pinned().into_iter().collect();
        let mut truth = self.truth.lock().unwrap();
        truth.check(&left, &pins).unwrap();
        let floor = truth.floor;
        *truth = Truth {
            id: Some(log.identity()),
            kept: left.into_iter().collect(),
            floor,
            pins,
            ..Truth::default()
        };
        self.log = Some(log);
    }

    fn log(&self) -> &Wal<S> {
        self.log.as_ref().unwrap()
    }

    /// Appends batches at once and waits for all of them. Whether they were acknowledged.
    fn append(&self, batches: &[Vec<Vec<u8>>]) -> bool {
        let mut next = self.log().end().number();
        for payloads in batches {
            self.truth.lock().unwrap().coming.push((next, payloads.clone()));
            next += payloads.len() as u64;
        }
        let mut tickets = Vec::new();
        for payloads in batches {
            let parts: Vec<[&[u8]; 1]> = payloads.iter().map(|payload| [payload.as_slice()]).collect();
            let records: Vec<Record<'_>> = parts.iter().map(|parts| Record::new(parts)).collect();
            tickets.push(self.log().append_batch(&records));
        }
        let mut all = true;
        for (ticket, payloads) in tickets.into_iter().zip(batches) {
            let outcome = ticket.and_then(Ticket::wait);
            all &= outcome.is_ok();
            if let Ok(last) = outcome {
                let mut truth = self.truth.lock().unwrap();
                let first = last.number() + 1 - payloads.len() as u64;
                assert_eq!(truth.coming.first().map(|coming| coming.0), Some(first));
                truth.coming.remove(0);
                truth.kept.extend((first..).zip(payloads.iter().cloned()));
            }
        }
        all
    }

    fn pin(&self, key: &[u8], value: &[u8]) {
        self.truth.lock().unwrap().coming_pins.push((key.to_vec(), value.to_vec()));
        self.log().pin(key, value).unwrap().wait().unwrap();
        let mut truth = self.truth.lock().unwrap();
        let (key, value) = truth.coming_pins.remove(0);
        set(&mut truth.pins, &key, &value);
    }

    fn truncate(&self, lsn: Lsn) {
        self.truth.lock().unwrap().floor = lsn.number();
        self.log().truncate_before(lsn).unwrap();
    }

    /// Groups, batches, pins, rotations, truncation, reopening, a failed sync.
    fn run(&mut self) {
        let one = |number: u64, len: usize| vec![payload(number, len)];
        let several =
            |numbers: std::ops::Range<u64>| numbers.map(|number| payload(number, 700)).collect::<Vec<_>>();
        self.open();
        self.pin(b"schema", b"1");
        for number in 0..6 {
            self.append(&[one(number, 300)]);
        }
        self.append(&[several(10..14)]);
        self.append(&[one(20, 2500), several(21..24), one(24, 10)]);
        self.append(&[one(25, 5000)]);
        self.append(&[several(30..36)]);
        self.pin(b"schema", b"2");
        self.pin(b"floor", b"9");
        self.append(&[one(40, 9000)]);
        self.append(&[one(41, 40_000)]);
        self.append(&(50..58).map(|number| one(number, 900)).collect::<Vec<_>>());
        self.truncate(Lsn::new(self.log().end().number() - 4));
        self.append(&[one(60, 700)]);
        self.log().close().unwrap();
        self.open();
        self.append(&[one(70, 4000), one(71, 4000), one(72, 4000), one(73, 4000)]);
        self.pin(b"floor", b"");
        self.append(&[several(80..84)]);
        // The sync fails, and the system shows pages that are not on disk.
        self.disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
        let acknowledged = self.append(&[several(90..93)]);
        if !acknowledged {
            assert!(matches!(self.log().close(), Err(LogError::Poisoned { .. })));
        }
        self.open();
        self.append(&[one(100, 3000)]);
        self.log().advance_to(Lsn::new(500)).unwrap();
        self.append(&[one(101, 3000), several(102..104)]);
        self.truncate(self.log().end());
        self.append(&[one(110, 6000)]);
        self.append(&[one(111, 6000)]);
        self.log = None;
        self.open();
        self.append(&[one(120, 100)]);
        self.log = None;
    }
}

/// Tries every way in which the power can go now.
fn survey(disk: &MemStorage, truth: &Truth, tally: &mut Tally, most: usize, what: &str) {
    tally.points += 1;
    if !tally.wrong.is_empty() {
        return;
    }
    for (cut, image) in disk.images(most) {
        if !tally.images.insert(fingerprint(&image)) {
            continue;
        }
        let what = format!("{what}, {cut:?}");
        if tally.images.len() % 50 == 1 {
            tally.recover(&image, truth, &what);
        }
        if let Err(wrong) = examine(&image, truth, &what) {
            tally.wrong.push(wrong);
        }
        tally.opened += 1;
    }
}

impl Tally {
    /// Lets the power go again at every call of the recovery itself.
    fn recover(&mut self, image: &MemStorage, truth: &Truth, what: &str) {
        let whole = image.process_killed();
        let Ok(log) = open(&whole) else { return };
        let calls = whole.calls();
        drop(log);
        for last in 0..calls {
            let half = image.process_killed();
            half.stop_after(last);
            let _ = open(&half);
            for cut in half.cuts(3) {
                self.recoveries += 1;
                let what = format!("{what}, again after call {last} of opening, {cut:?}");
                if let Err(wrong) = examine(&half.power_cut(cut), truth, &what) {
                    self.wrong.push(wrong);
                }
            }
        }
    }
}

fn sweep<S: Storage>(wrap: fn(MemStorage) -> S, segment_bytes: u64, most: usize) -> Tally {
    let (mut world, tally) = World::new(wrap, segment_bytes, most);
    world.run();
    let truth = world.truth.lock().unwrap().clone();
    survey(&world.disk, &truth, &mut tally.lock().unwrap(), most, "at the end");
    let changes = world.disk.trace().iter().filter(|call| call.kind.changes_disk()).count() + 1;
    let mut tally = tally.lock().unwrap();
    assert_eq!(tally.points, changes, "every point was tried");
    std::mem::take(&mut *tally)
}

#[test]
fn l7_every_cut_point_opens_and_keeps_every_promise() {
    let (mut points, mut images, mut recoveries) = (0, 0, 0);
    for segment_bytes in [8 << 10, 16 << 10, 40 << 10] {
        let tally = sweep(|disk| disk, segment_bytes, 48);
        assert_eq!(tally.wrong, Vec::<String>::new());
        (points, images) = (points + tally.points, images + tally.images.len());
        recoveries += tally.recoveries;
    }
    println!("cut points {points}, tried {points}, images {images}, cuts during recovery {recoveries}");
    assert!(points > 400 && images > 3000 && recoveries > 2000, "{points} {images} {recoveries}");
}

#[test]
fn the_sweep_finds_planted_mistakes() {
    type Plant = fn(MemStorage) -> Planted<MemStorage>;
    let planted: [(&str, Plant); 3] = [
        ("no sync of the directory (L6)", |disk| Planted::new(disk, StorageMistake::NoDirSync)),
        ("a sync that does nothing", |disk| Planted::new(disk, StorageMistake::LyingSync)),
        ("a failed sync tried again (L3)", |disk| Planted::new(disk, StorageMistake::RetryingSync)),
    ];
    for (name, wrap) in planted {
        let tally = sweep(wrap, 16 << 10, 6);
        println!("{name}: {}", tally.wrong.first().map_or("not found", String::as_str));
        assert!(!tally.wrong.is_empty(), "{name} was not found");
    }
}

#[test]
fn l6_a_power_cut_after_a_rotation_keeps_the_new_segment() {
    let kept_after = |wrap: fn(MemStorage) -> Planted<MemStorage>| {
        let disk = MemStorage::new();
        let log = Wal::open_in(wrap(disk.clone()), small()).unwrap();
        // The first segment's name is safe either way: what is looked at is the second one's.
        disk.sync_dir().unwrap();
        let several: Vec<_> = (0..8).map(|number| payload(number, 3000)).collect();
        for payload in &several {
            common::append(&log, payload).unwrap();
        }
        assert!(disk.names().len() > 1);
        read_all(&open(&disk.power_cut(Cut::LoseUnsynced)).unwrap()).unwrap().len()
    };
    let sound = {
        let disk = MemStorage::new();
        let log = open(&disk).unwrap();
        for number in 0..8 {
            common::append(&log, &payload(number, 3000)).unwrap();
        }
        read_all(&open(&disk.power_cut(Cut::LoseUnsynced)).unwrap()).unwrap().len()
    };
    assert_eq!(sound, 8);
    assert!(kept_after(|disk| Planted::new(disk, StorageMistake::NoDirSync)) < 8, "the plant lost nothing");
}

#[test]
fn a_torn_tail_is_cut_and_said() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    common::fill(&log, 0..2, 100);
    disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
    let several: Vec<_> = (10..14).map(|number| payload(number, 700)).collect();
    assert!(batch(&log, &several).is_err());
    drop(log);
    let image = disk.process_killed();
    let name = disk.names()[0].clone();
    let contents = image.contents(&name).unwrap();
    let at = contents.windows(9).position(|bytes| bytes == b"record 12").unwrap();
    image.damage(&name, at as u64, &[0; 512]);
    let log = open(&image).unwrap();
    let torn = log.recovery().torn_tail.clone().unwrap();
    assert_eq!((torn.segment, torn.lsn), (name, Lsn::new(3)));
    assert_eq!(read_all(&log).unwrap().len(), 2);
}
