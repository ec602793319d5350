//! One after the other, and in batches.

use standpipe_testkit::MemStorage;
use standpipe_wal::{Log, Lsn, ReplayError};

use crate::{
    common::{fill, open, payload, read_all},
    random_log, recover, replayed,
};

#[test]
fn an_empty_log_has_nothing_to_replay() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    let _pinned = log.pin(b"only", b"a pin").unwrap();
    log.advance_to(Lsn::new(70)).unwrap();
    drop(log);
    let recovering = recover(&disk);
    for workers in [1, 2] {
        assert!(
            matches!(replayed(&recovering, workers), (records, Ok(end)) if records.is_empty() && end == Lsn::new(70))
        );
        let replay = recovering.replay(recovering.start()).workers(workers);
        replay.batches(|entries| Err(entries.len())).unwrap();
        let replay = recovering.replay(recovering.start()).workers(workers);
        replay.by_key(|_| None, |entry| Err(entry.lsn)).unwrap();
    }
}

#[test]
fn everything_comes_once_in_order_without_pins_and_over_gaps() {
    for seed in 0..12 {
        let (disk, records) = random_log(seed, 200_000);
        let recovering = recover(&disk);
        for workers in [1, 2, 4] {
            let (delivered, end) = replayed(&recovering, workers);
            assert!(delivered == records, "seed {seed}, {workers} workers");
            assert_eq!(end.unwrap(), recovering.end());
        }
        assert_eq!(read_all(&recovering.finish()).unwrap(), records);
    }
}

#[test]
fn a_replay_begins_anywhere() {
    let (disk, records) = random_log(5, 150_000);
    let recovering = recover(&disk);
    let end = recovering.end().number();
    for from in (1..end).step_by(31).chain([end - 1, end, end + 9, u64::MAX]) {
        for workers in [1, 2] {
            let mut first = None;
            let replay = recovering.replay(Lsn::new(from)).workers(workers).block(4096);
            let told = replay
                .each(|entry| {
                    first.get_or_insert(entry.lsn.number());
                    Ok::<(), &str>(())
                })
                .unwrap();
            let expected: Vec<u64> =
                records.iter().map(|record| record.0).filter(|lsn| *lsn >= from).collect();
            assert_eq!((first, told.records), (expected.first().copied(), expected.len() as u64), "{from}");
        }
    }
}

#[test]
fn batches_are_as_large_as_allowed_and_no_larger() {
    let (disk, records) = random_log(7, 150_000);
    let recovering = recover(&disk);
    for (records_max, bytes_max) in [(1, 1), (7, 1 << 20), (1000, 4000), (64, 9001), (0, 0)] {
        for workers in [1, 2] {
            let mut all = Vec::new();
            let mut sizes = Vec::new();
            let replay =
                recovering.replay(Lsn::FIRST).workers(workers).block(4096).batch(records_max, bytes_max);
            let told = replay.batches(|entries| {
                let bytes: usize = entries.iter().map(|entry| entry.payload.len()).sum();
                assert!(!entries.is_empty() && entries.len() <= records_max.max(1));
                assert!(bytes <= bytes_max || entries.len() == 1);
                sizes.push((entries.len(), bytes, entries[0].payload.len()));
                all.extend(entries.iter().map(|entry| (entry.lsn.number(), entry.payload.to_vec())));
                Ok::<(), &str>(())
            });
            assert_eq!(told.unwrap().records, records.len() as u64);
            assert!(all == records);
            for pair in sizes.windows(2) {
                let room = pair[0].0 < records_max.max(1) && pair[0].1 + pair[1].2 <= bytes_max;
                assert!(!room, "a batch of {:?} had room for the next record", pair[0]);
            }
        }
    }
}

#[test]
fn a_batch_that_fails_is_named_by_its_first_record() {
    let disk = MemStorage::new();
    fill(&open(&disk).unwrap(), 0..50, 200);
    let recovering = recover(&disk);
    let mut batches = 0;
    let ended = recovering.replay(Lsn::FIRST).batch(10, 1 << 20).batches(|_| {
        batches += 1;
        if batches == 3 { Err("no") } else { Ok(()) }
    });
    assert!(matches!(ended, Err(ReplayError::Apply { lsn, error: "no" }) if lsn == Lsn::new(21)));
    assert_eq!(batches, 3);
}

#[test]
fn what_came_before_damage_is_applied() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    fill(&log, 0..60, 900);
    log.close().unwrap();
    drop(log);
    let name = disk.names()[1].clone();
    let contents = disk.contents(&name).unwrap();
    let recovering = recover(&disk);
    disk.damage(&name, 9000, &[!contents[9000]]);
    let read = replayed(&recovering, 1);
    let place = crate::corrupt(&match read.1 {
        Err(ReplayError::Log(error)) => error,
        other => panic!("{other:?}"),
    });
    let mut batched = 0;
    let ended = recovering.replay(Lsn::FIRST).batch(1000, 1 << 20).batches(|entries| {
        batched += entries.len();
        Ok::<(), &str>(())
    });
    let Err(ReplayError::Log(error)) = ended else { panic!("{ended:?}") };
    assert_eq!((batched, crate::corrupt(&error)), (read.0.len(), place.clone()));
    let count = std::sync::atomic::AtomicU64::new(0);
    let ended = recovering.replay(Lsn::FIRST).workers(3).by_key(
        |entry| Some(entry.lsn.number().into()),
        |_| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok::<(), &str>(())
        },
    );
    let Err(ReplayError::Log(error)) = ended else { panic!("{ended:?}") };
    assert_eq!((count.into_inner(), corrupt_lsn(&error)), (read.0.len() as u64, place.2));
}

fn corrupt_lsn(error: &standpipe_wal::LogError) -> u64 {
    crate::corrupt(error).2
}

#[test]
fn progress_is_told_now_and_then_and_ends_at_the_end() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    for number in 0..1000 {
        crate::common::append(&log, &payload(number, 100)).unwrap();
    }
    drop(log);
    let recovering = recover(&disk);
    for workers in [1, 2] {
        let mut told = Vec::new();
        let replay = recovering.replay(Lsn::FIRST).workers(workers).block(4096);
        let replayed = replay.progress(|progress| told.push(*progress)).each(|_| Ok::<(), &str>(())).unwrap();
        assert!((10..=40).contains(&told.len()), "told {} times of 1000 frames", told.len());
        for pair in told.windows(2) {
            assert!(pair[0].records < pair[1].records || pair[1] == *told.last().unwrap());
            assert!(pair[0].bytes <= pair[1].bytes && pair[0].lsn <= pair[1].lsn);
        }
        let last = told.last().unwrap();
        assert_eq!((last.records, last.lsn), (1000, recovering.end()));
        assert_eq!((last.bytes, last.bytes), (last.bytes_total, replayed.bytes));
    }
}
