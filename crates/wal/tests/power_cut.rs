//! The power goes at every call that changes the disk, in many ways, and the log is opened on what is left.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    batch,
    cuts::{Tally, World},
    open, payload, read_all, small,
};
use standpipe_log::Storage;
use standpipe_testkit::{CallKind, Cut, Fault, MemStorage, Planted, StorageMistake};
use standpipe_wal::{Log, LogError, Lsn, Wal};

/// Groups, batches, pins, rotations, truncation, groups that overlap, a full disk, failed syncs, kills, reopenings.
fn script<S: Storage>(world: &mut World<S>) {
    let one = |number: u64, len: usize| vec![payload(number, len)];
    let several =
        |numbers: std::ops::Range<u64>| numbers.map(|number| payload(number, 700)).collect::<Vec<_>>();
    world.open();
    world.pin(b"schema", b"1");
    for number in 0..6 {
        world.append(&[one(number, 300)]);
    }
    world.append(&[several(10..14)]);
    world.append(&[one(20, 2500), several(21..24), one(24, 10)]);
    world.append(&[one(25, 5000)]);
    world.append(&[several(30..36)]);
    world.pin(b"schema", b"2");
    world.pin(b"floor", b"9");
    world.append(&[one(40, 9000)]);
    world.append(&[one(41, 40_000)]);
    world.append(&(50..58).map(|number| one(number, 900)).collect::<Vec<_>>());
    world.truncate(Lsn::new(world.log().end().number() - 4));
    world.append(&[one(60, 700)]);
    world.log().close().unwrap();
    world.open();
    world.append(&[one(70, 4000), one(71, 4000), one(72, 4000), one(73, 4000)]);
    world.pin(b"floor", b"");
    world.append(&[several(80..84)]);
    // The sync fails, and the system shows pages that are not on disk.
    world.disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
    if !world.append(&[several(90..93)]) {
        assert!(matches!(world.log().close(), Err(LogError::Poisoned { .. })));
    }
    world.open();
    world.append(&[one(100, 3000)]);
    world.log().advance_to(Lsn::new(500)).unwrap();
    world.append(&[one(101, 3000), several(102..104)]);
    world.truncate(world.log().end());
    world.append(&[one(110, 6000)]);
    world.append(&[one(111, 6000)]);
    world.close();
    world.open();
    world.append(&[one(120, 100)]);
    // Groups that come while the one before is synced, over a rotation or two.
    world.pipelined(&[
        vec![one(130, 300), several(131..134)],
        vec![one(134, 2500)],
        vec![several(135..140), one(140, 20)],
        vec![one(141, 6000)],
        vec![one(142, 10), one(143, 10)],
    ]);
    world.kill();
    world.open();
    world.append(&[one(150, 1500)]);
    // Nothing unused is left to recycle; then the files of the truncated are there to be used again.
    for number in 160..170 {
        world.append(&[one(number, 3000)]);
    }
    world.truncate(world.log().end());
    for number in 170..176 {
        world.append(&[one(number, 3000)]);
    }
    world.kill();
    world.open();
    full(world, 180);
    // A failed sync with another group behind it, then a death without a close.
    world.disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
    world.pipelined(&[vec![several(220..223)], vec![one(223, 900)], vec![one(224, 900)]]);
    world.kill();
    world.open();
    world.append(&[one(230, 1200)]);
    world.kill();
    world.open();
    world.append(&[several(240..243)]);
    world.close();
}

/// The disk fills up until an append is refused; then there is room again, and the log goes on.
fn full<S: Storage>(world: &World<S>, from: u64) {
    world.room(Some(5000));
    let refused = (from..from + 30).find(|number| !world.append(&[vec![payload(*number, 3000)]]));
    assert!(refused.is_some(), "the disk never was full");
    world.append(&[vec![payload(from + 30, 2000)]]);
    world.room(None);
    assert!(world.append(&[vec![payload(from + 31, 2000)], vec![payload(from + 32, 2000); 2]]));
}

fn sweep<S: Storage>(wrap: fn(MemStorage) -> S, segment_bytes: u64, most: usize) -> Tally {
    let mut world = World::new(wrap, segment_bytes, most);
    script(&mut world);
    world.finish()
}

#[test]
fn l7_every_cut_point_opens_and_keeps_every_promise() {
    let (mut points, mut images, mut recoveries, mut overlapping) = (0, 0, 0, 0);
    let tallies = std::thread::scope(|scope| {
        let sweeps = [8 << 10, 16 << 10, 40 << 10]
            .map(|segment_bytes| scope.spawn(move || sweep(|disk| disk, segment_bytes, 56)));
        sweeps.map(|sweep| sweep.join().unwrap())
    });
    for tally in tallies {
        assert_eq!(tally.wrong, Vec::<String>::new());
        (points, images) = (points + tally.points, images + tally.images.len());
        recoveries += tally.recoveries;
        overlapping += tally.overlapping;
    }
    println!(
        "cut points {points}, tried {points}, images {images}, cuts during recovery {recoveries}, \
         writes during a sync {overlapping}"
    );
    assert!(points > 600 && images >= 10_000 && recoveries > 5000, "{points} {images} {recoveries}");
}

/// With a thread that makes segments meanwhile: one that is ready names one that is there, whenever the power goes.
#[test]
fn every_cut_point_opens_where_segments_are_made_ahead() {
    let one = |number: u64, len: usize| vec![vec![payload(number, len)]];
    let mut world = World::new(|disk| disk, 16 << 10, 24).ahead();
    for life in 0..6 {
        world.open();
        for number in 0..9 {
            world.append(&one(life * 100 + number, 2500));
        }
        world.truncate(Lsn::new(world.log().end().number() - 4));
        world.append(&one(life * 100 + 20, 6000));
        world.append(&one(life * 100 + 21, 30_000));
        match life % 3 {
            0 => world.close(),
            1 => world.kill(),
            _ => {
                world.disk.fail_nth(CallKind::SyncData, 1, Fault::EIO);
                world.append(&one(life * 100 + 30, 900));
                world.disk.clear_faults();
                world.kill();
            }
        }
    }
    world.open();
    let tally = world.finish();
    println!("cut points {}, images {}, recoveries {}", tally.points, tally.images.len(), tally.recoveries);
    assert_eq!(tally.wrong, Vec::<String>::new());
    assert!(tally.images.len() > 1000 && tally.recoveries > 100);
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
    let log =
        common::open_with(&disk, standpipe_wal::Settings { segment_bytes: 64 << 10, ..common::small() })
            .unwrap();
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
