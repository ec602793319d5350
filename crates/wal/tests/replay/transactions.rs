//! Only what was committed, in the order of the commits, in bounded memory.

use std::collections::BTreeMap;

use standpipe_testkit::{MemStorage, Random};
use standpipe_wal::{Entry, Log, Lsn, Mark, Record, ReplayError, Transacted};

use crate::{
    Records,
    common::{append, open, payload},
    recover,
};

/// The first byte says what, the next eight whose.
fn mark_of(entry: &Entry<'_>) -> Mark {
    let Some((kind, rest)) = entry.payload.split_first() else { return Mark::None };
    let Some(id) = rest.first_chunk() else { return Mark::None };
    let id = u64::from_le_bytes(*id);
    match kind {
        b'b' => Mark::Begin(id),
        b'd' => Mark::Data(id),
        b'c' => Mark::Commit(id),
        b'a' => Mark::Abort(id),
        _ => Mark::None,
    }
}

fn write(log: &impl Log, kind: u8, id: u64, bytes: &[u8]) -> u64 {
    log.append(Record::new(&[&[kind], &id.to_le_bytes(), bytes]))
        .map(|ticket| standpipe_wal::Ticket::lsn(&ticket).number())
        .unwrap()
}

type Ended = Result<Transacted, ReplayError<&'static str>>;

/// One transaction as it was delivered: id, begin, commit, its data.
type Delivered = (u64, u64, u64, Records);

fn run(disk: &MemStorage, workers: usize, memory: usize) -> (Vec<Delivered>, Ended) {
    let recovering = recover(disk);
    let mut out = Vec::new();
    let replay = recovering.replay(recovering.start()).workers(workers).block(4096).memory(memory);
    let ended = replay.transactions(mark_of, |transaction| {
        let records =
            transaction.records.iter().map(|entry| (entry.lsn.number(), entry.payload[9..].to_vec()));
        out.push((
            transaction.id,
            transaction.begin.number(),
            transaction.commit.number(),
            records.collect(),
        ));
        Ok(())
    });
    (out, ended)
}

#[test]
fn interleaved_transactions_are_as_a_model_says() {
    for seed in 60..75 {
        let mut random = Random::new(seed);
        let disk = MemStorage::new();
        let log = open(&disk).unwrap();
        let mut expected: Vec<Delivered> = Vec::new();
        let mut live: BTreeMap<u64, (u64, Records)> = BTreeMap::new();
        let (mut aborted, mut outside) = (0, 0);
        for number in 0..600 {
            let id = random.below(12);
            let Some((begin, mut data)) = live.remove(&id) else {
                live.insert(id, (write(&log, b'b', id, b""), Vec::new()));
                continue;
            };
            match random.below(12) {
                0 => {
                    let commit = write(&log, b'c', id, b"");
                    expected.push((id, begin, commit, data));
                    continue;
                }
                1 => {
                    write(&log, b'a', id, b"");
                    aborted += 1;
                    continue;
                }
                2 => {
                    append(&log, b"of nobody").unwrap();
                    outside += 1;
                }
                _ => {
                    let bytes = payload(number, random.below(400) as usize);
                    data.push((write(&log, b'd', id, &bytes), bytes));
                }
            }
            live.insert(id, (begin, data));
        }
        drop(log);
        for workers in [1, 3] {
            let (delivered, told) = run(&disk, workers, 1 << 20);
            assert!(delivered == expected, "seed {seed}");
            let told = told.unwrap();
            assert_eq!(
                (told.committed, told.aborted, told.outside),
                (expected.len() as u64, aborted, outside)
            );
            let unfinished: Vec<_> =
                told.unfinished.iter().map(|one| (one.begin.number(), one.id, one.records)).collect();
            let mut left: Vec<_> =
                live.iter().map(|(id, (begin, data))| (*begin, *id, data.len() as u64)).collect();
            left.sort_unstable();
            assert_eq!(unfinished, left);
        }
    }
}

#[test]
fn nonsense_is_an_error_and_never_skipped() {
    for (marks, at, transaction) in [
        (vec![(b'd', 1)], 1, 1),
        (vec![(b'b', 1), (b'd', 1), (b'd', 2)], 3, 2),
        (vec![(b'b', 1), (b'b', 1)], 2, 1),
        (vec![(b'c', 9)], 1, 9),
        (vec![(b'a', 9)], 1, 9),
        (vec![(b'b', 1), (b'c', 1), (b'd', 1)], 3, 1),
        (vec![(b'b', 1), (b'a', 1), (b'c', 1)], 3, 1),
    ] {
        let disk = MemStorage::new();
        let log = open(&disk).unwrap();
        for (kind, id) in &marks {
            write(&log, *kind, *id, b"data");
        }
        drop(log);
        match run(&disk, 1, 1 << 20).1 {
            Err(ReplayError::OutOfPlace { lsn, transaction: named, what }) => {
                assert_eq!((lsn.number(), named), (at, transaction), "{what}");
            }
            other => panic!("{marks:?}: {other:?}"),
        }
    }
    // An id may be used again.
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    for kind in *b"bdcbdabdc" {
        write(&log, kind, 5, b"data");
    }
    drop(log);
    assert_eq!(run(&disk, 1, 1 << 20).1.unwrap().committed, 2);
}

#[test]
fn open_transactions_are_refused_above_the_limit() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    write(&log, b'b', 1, b"");
    write(&log, b'b', 2, b"");
    write(&log, b'd', 1, &[7; 3000]);
    let over = write(&log, b'd', 2, &[7; 3000]);
    write(&log, b'c', 1, b"");
    write(&log, b'c', 2, b"");
    drop(log);
    assert_eq!(run(&disk, 1, 8000).1.unwrap().committed, 2);
    match run(&disk, 1, 6000).1 {
        Err(ReplayError::TooLarge { lsn, transaction, transaction_bytes, held_bytes, limit_bytes }) => {
            assert_eq!((lsn.number(), transaction, limit_bytes), (over, 2, 6000));
            assert!(transaction_bytes > 3000 && held_bytes > 6000, "{transaction_bytes} {held_bytes}");
        }
        other => panic!("{other:?}"),
    }
    // Many that only begin are bounded too.
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    for id in 0..100 {
        write(&log, b'b', id, b"");
    }
    drop(log);
    assert!(matches!(run(&disk, 1, 5000).1, Err(ReplayError::TooLarge { transaction: 39, .. })));
    assert_eq!(run(&disk, 1, 50_000).1.unwrap().unfinished.len(), 100);
}

#[test]
fn a_commit_that_cannot_be_applied_is_named() {
    let disk = MemStorage::new();
    let log = open(&disk).unwrap();
    for kind in *b"bdcbdc" {
        write(&log, kind, 5, b"data");
    }
    drop(log);
    let recovering = recover(&disk);
    let mut applied = 0;
    let ended = recovering.replay(Lsn::FIRST).transactions(mark_of, |transaction| {
        applied += 1;
        if transaction.begin > Lsn::FIRST { Err("no") } else { Ok(()) }
    });
    assert!(matches!(ended, Err(ReplayError::Apply { lsn, error: "no" }) if lsn == Lsn::new(6)));
    assert_eq!(applied, 2);
}
