//! On several threads, by key.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use standpipe_testkit::{MemStorage, Random};
use standpipe_wal::{Entry, Key, Lsn, ReplayError};

use crate::{
    Records,
    common::{batch, fill, open, payload},
    random_log, recover,
};

/// A key for most records: `None` for one of `barriers`.
fn key_of(entry: &Entry<'_>, keys: u64, barriers: u64) -> Option<u64> {
    let mut random = Random::new(entry.lsn.number());
    (barriers == 0 || random.below(barriers) > 0).then(|| random.below(keys))
}

#[test]
fn each_key_sees_its_records_in_the_order_of_the_log() {
    for seed in 40..48 {
        let (disk, records) = random_log(seed, 150_000);
        let recovering = recover(&disk);
        for (workers, keys, barriers) in
            [(2, 1, 0), (2, 7, 0), (3, 100, 5), (4, 100, 50), (2, 3, 2), (1, 5, 5)]
        {
            let seen: Mutex<BTreeMap<Option<u64>, Records>> = Mutex::default();
            let began = AtomicU64::new(0);
            let replay = recovering.replay(Lsn::FIRST).workers(workers).block(4096);
            let told = replay.by_key(
                |entry| key_of(entry, keys, barriers).map(Key::from),
                |entry| {
                    let lsn = entry.lsn.number();
                    let key = key_of(entry, keys, barriers);
                    let highest = began.fetch_max(lsn, Ordering::SeqCst);
                    let mut seen = seen.lock().unwrap();
                    if key.is_none() {
                        let done: usize = seen.values().map(Vec::len).sum();
                        let before = records.iter().filter(|record| record.0 < lsn).count();
                        assert_eq!(done, before, "a barrier at {lsn} came early or late");
                        assert!(highest < lsn, "{highest} began before the barrier at {lsn}");
                    }
                    seen.entry(key).or_default().push((lsn, entry.payload.to_vec()));
                    Ok::<(), &str>(())
                },
            );
            assert_eq!(told.unwrap().records, records.len() as u64);
            let seen = seen.into_inner().unwrap();
            let mut all: Vec<_> = seen.values().flatten().cloned().collect();
            all.sort();
            assert!(all == records, "seed {seed}");
            for in_key in seen.values() {
                assert!(in_key.windows(2).all(|pair| pair[0].0 < pair[1].0));
            }
        }
    }
}

#[test]
fn several_threads_apply_at_once() {
    let disk = MemStorage::new();
    fill(&open(&disk).unwrap(), 0..400, 100);
    let recovering = recover(&disk);
    let inside = AtomicUsize::new(0);
    let most = AtomicUsize::new(0);
    let deadline = std::time::Instant::now() + crate::common::PATIENCE;
    let ended = recovering.replay(Lsn::FIRST).workers(2).by_key(
        |entry| Some(entry.lsn.number().into()),
        |_| {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            while most.load(Ordering::SeqCst) < 2 && std::time::Instant::now() < deadline {
                std::thread::yield_now();
            }
            inside.fetch_sub(1, Ordering::SeqCst);
            Ok::<(), &str>(())
        },
    );
    assert_eq!((ended.unwrap().records, most.into_inner()), (400, 2));
}

#[test]
fn the_lowest_record_that_fails_is_the_one_that_is_told() {
    let (disk, records) = random_log(50, 150_000);
    let recovering = recover(&disk);
    let third = records.len() / 3;
    let failing: Vec<u64> = records[third..].iter().step_by(5).map(|record| record.0).collect();
    for (workers, barriers) in [(1, 0), (2, 0), (4, 0), (3, 20)] {
        let applied: Mutex<Vec<u64>> = Mutex::default();
        let replay = recovering.replay(Lsn::FIRST).workers(workers).block(4096);
        let ended = replay.by_key(
            |entry| key_of(entry, 50, barriers).map(Key::from),
            |entry| {
                let lsn = entry.lsn.number();
                if failing.contains(&lsn) {
                    return Err(lsn);
                }
                applied.lock().unwrap().push(lsn);
                Ok(())
            },
        );
        let Err(ReplayError::Apply { lsn, error }) = ended else { panic!("{ended:?}") };
        assert_eq!((lsn.number(), error), (failing[0], failing[0]));
        let mut below: Vec<u64> =
            applied.into_inner().unwrap().into_iter().filter(|lsn| *lsn < failing[0]).collect();
        below.sort_unstable();
        assert!(below.into_iter().eq(records[..third].iter().map(|record| record.0)), "{workers} workers");
    }
}

#[test]
fn of_two_that_fail_at_once_the_lower_one_is_told() {
    let disk = MemStorage::new();
    fill(&open(&disk).unwrap(), 0..20, 100);
    let recovering = recover(&disk);
    let threads: Mutex<BTreeMap<u64, std::thread::ThreadId>> = Mutex::default();
    let note = |entry: &Entry<'_>| {
        threads.lock().unwrap().insert(entry.lsn.number(), std::thread::current().id());
        Ok::<(), &str>(())
    };
    let replay = || recovering.replay(Lsn::FIRST).workers(2);
    replay().by_key(|entry| Some(entry.lsn.number().into()), note).unwrap();
    let threads = threads.into_inner().unwrap();
    let other = (2..=20).find(|lsn| threads[lsn] != threads[&1]).unwrap();
    for round in 0..200_u64 {
        let both = std::sync::Barrier::new(2);
        let ended = replay().by_key(
            |entry| Some(entry.lsn.number().into()),
            |entry| {
                let lsn = entry.lsn.number();
                if lsn != 1 && lsn != other {
                    return Ok(());
                }
                both.wait();
                // Now the one, now the other is the first to fail.
                if (round % 2 == 0) == (lsn == 1) {
                    (0..50).for_each(|_| std::thread::yield_now());
                }
                Err(lsn)
            },
        );
        assert!(matches!(ended, Err(ReplayError::Apply { lsn: Lsn::FIRST, error: 1 })), "{ended:?}");
    }
}

#[test]
fn a_panic_of_a_worker_comes_to_the_caller_and_nothing_hangs() {
    let (disk, records) = random_log(51, 150_000);
    let recovering = recover(&disk);
    let middle = records[records.len() / 2].0;
    let run = |of_key: bool, of_apply: bool, barriers: u64| {
        catch_unwind(AssertUnwindSafe(|| {
            recovering.replay(Lsn::FIRST).workers(3).block(4096).by_key(
                |entry| {
                    assert!(!of_key || entry.lsn.number() < middle, "planted in key_of");
                    key_of(entry, 20, barriers).map(Key::from)
                },
                |entry| {
                    assert!(!of_apply || entry.lsn.number() < middle, "planted in apply");
                    Ok::<(), &str>(())
                },
            )
        }))
    };
    for barriers in [0, 1, 10] {
        for (of_key, of_apply) in [(true, false), (false, true)] {
            let panic = run(of_key, of_apply, barriers).unwrap_err();
            assert!(panic.downcast_ref::<&str>().is_some_and(|text| text.starts_with("planted")));
        }
        assert_eq!(run(false, false, barriers).unwrap().unwrap().records, records.len() as u64);
    }
}

#[test]
fn what_waits_to_be_applied_is_bounded() {
    const RECORDS: u64 = 12_000;
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    for first in (0..RECORDS).step_by(10) {
        let several: Vec<_> = (first..first + 10).map(|number| payload(number, 256)).collect();
        batch(&log, &several).unwrap();
    }
    drop(log);
    let recovering = recover(&disk);
    for keys in [1, 1000] {
        let applied = AtomicU64::new(0);
        let handed_out = AtomicU64::new(0);
        let is_over = AtomicBool::new(false);
        let most = AtomicU64::new(0);
        let replay = recovering.replay(Lsn::FIRST).workers(2).block(4096);
        let ended = replay.by_key(
            |entry| {
                // Called for what is handed out next: how far ahead is that?
                let ahead = handed_out.fetch_add(1, Ordering::SeqCst) + 1 - applied.load(Ordering::SeqCst);
                most.fetch_max(ahead, Ordering::SeqCst);
                is_over.store(handed_out.load(Ordering::SeqCst) == RECORDS, Ordering::SeqCst);
                Some((entry.lsn.number() % keys).into())
            },
            |_| {
                // Slower than the reading, so that without a bound everything would be ahead.
                for _ in 0..20 {
                    std::thread::yield_now();
                }
                applied.fetch_add(1, Ordering::SeqCst);
                Ok::<(), &str>(())
            },
        );
        ended.unwrap();
        // Sixteen blocks and the one at hand, each of 4 KiB and the rest of a frame of 2.6 KiB.
        let bound = 17 * (4096 + 2672) / 256;
        println!("{keys} keys: at most {} of {RECORDS} ahead", most.load(Ordering::SeqCst));
        assert!(most.load(Ordering::SeqCst) <= bound, "{} ahead", most.load(Ordering::SeqCst));
        assert!(is_over.into_inner());
    }
}
