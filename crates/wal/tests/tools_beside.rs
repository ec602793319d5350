//! Looking at a log while its owner changes it, at every point at which that can be.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use common::{fill, open, open_with, small};
use standpipe_log::{File, Storage};
use standpipe_testkit::MemStorage;
use standpipe_wal::{Log, Lsn, Part, Settings, Shown, Ticket, dump, verify};

type Change = fn(&MemStorage);

/// A storage that somebody else changes right before one of the calls that open, list or read.
#[derive(Clone)]
struct Shifting {
    disk: MemStorage,
    calls: Arc<AtomicU64>,
    at: u64,
    change: Change,
    /// Left out of the first listing, as by a directory that is read while files go.
    unlisted: Option<&'static str>,
}

impl Shifting {
    fn count(&self) -> u64 {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call == self.at {
            (self.change)(&self.disk);
        }
        call
    }
}

/// A file that stays open while its name goes, and while it becomes another segment.
struct Held {
    file: <MemStorage as Storage>::File,
    from: Shifting,
}

impl File for Held {
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        panic!("looking writes nothing")
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.from.count();
        self.file.read_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        panic!("looking syncs nothing")
    }

    fn sync_all(&self) -> io::Result<()> {
        panic!("looking syncs nothing")
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        panic!("looking reserves nothing")
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

impl Storage for Shifting {
    type File = Held;
    type Lock = <MemStorage as Storage>::Lock;

    fn create(&self, _: &str) -> io::Result<Self::File> {
        panic!("looking makes no file")
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.count();
        self.disk.open(name).map(|file| Held { file, from: self.clone() })
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        panic!("looking renames nothing")
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        panic!("looking removes nothing")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let call = self.count();
        let mut names = self.disk.list()?;
        if call == 0 {
            names.retain(|name| Some(name.as_str()) != self.unlisted);
        }
        Ok(names)
    }

    fn lock(&self) -> io::Result<Self::Lock> {
        self.disk.lock()
    }

    fn sync_dir(&self) -> io::Result<()> {
        panic!("looking syncs nothing")
    }

    fn describe(&self) -> String {
        self.disk.describe()
    }
}

const SEGMENT_BYTES: u64 = 24 << 10;

/// Four segments or so, closed.
fn sample() -> MemStorage {
    let disk = MemStorage::new();
    let log = open_with(&disk, Settings { segment_bytes: SEGMENT_BYTES, ..small() }).unwrap();
    log.pin(b"key", b"value").unwrap().wait().unwrap();
    fill(&log, 0..14, 1200);
    log.close().unwrap();
    assert!(disk.names().len() >= 4);
    disk
}

fn truncate_one(disk: &MemStorage) {
    let first = disk.names()[0].clone();
    disk.remove(&first).unwrap();
}

fn truncate_two(disk: &MemStorage) {
    truncate_one(disk);
    truncate_one(disk);
}

/// The last segment is replaced by a copy of another incarnation under the same name, and the log goes on.
fn reopen(disk: &MemStorage) {
    let log = open_with(disk, Settings { segment_bytes: 64 << 10, ..small() }).unwrap();
    fill(&log, 50..53, 900);
    log.close().unwrap();
}

/// What was closed long ago and lies in the way of nothing goes, and new segments come.
fn go_on(disk: &MemStorage) {
    let log = open(disk).unwrap();
    fill(&log, 60..70, 1200);
    log.truncate_before(Lsn::new(9)).unwrap();
    log.close().unwrap();
}

/// Segments that were truncated come back as others, in the same files.
fn recycle(disk: &MemStorage) {
    let log = open_with(disk, Settings { segment_bytes: SEGMENT_BYTES, ..small() }).unwrap();
    for round in 0..4 {
        fill(&log, round * 10..round * 10 + 7, 1200);
        log.truncate_before(log.durable_end()).unwrap();
    }
    fill(&log, 60..64, 1200);
    log.close().unwrap();
    let is_recycled = |name: &String| name.ends_with(".wal") && disk.contents(name).unwrap()[12] & 2 != 0;
    assert!(disk.names().iter().any(is_recycled));
}

#[test]
fn whatever_an_owner_does_meanwhile_is_no_damage() {
    let changes: [(&str, Change); 5] = [
        ("one segment is truncated", truncate_one),
        ("two segments are truncated", truncate_two),
        ("the log is opened anew", reopen),
        ("the log goes on and is truncated", go_on),
        ("files become other segments", recycle),
    ];
    let mut points = 0;
    for (what, change) in changes {
        for unlisted in [None, Some("00000000000000000002.wal")] {
            // A file that a listing missed is one that goes: of the two oldest, the second.
            if unlisted.is_some() && !what.starts_with("two") {
                continue;
            }
            for at in 1.. {
                let shifting = || Shifting { disk: sample(), calls: Arc::default(), at, change, unlisted };
                let what = format!("{what} at call {at}");
                let storage = shifting();
                let found = verify(&storage).unwrap_or_else(|error| panic!("{what}: {error}"));
                let calls = storage.calls.load(Ordering::Relaxed);
                // A listing that lacks a file which never goes is one of a damaged log.
                let is_over = unlisted.is_none() || calls > at;
                assert!(
                    !is_over || found.inspection.damage.is_empty(),
                    "{what}: {:?}",
                    found.inspection.damage
                );
                let end = found.inspection.end.map_or(0, Lsn::number);
                assert!(!is_over || end >= 15, "{what}: a log that never was ends at {end}");
                let storage = shifting();
                let mut last = 0;
                let dumped = dump(&storage, Part::default(), &mut |shown| {
                    if let Shown::Record { lsn, .. } = shown {
                        assert!(lsn.number() > last, "{what}: record {lsn} after {last}");
                        last = lsn.number();
                    }
                    ControlFlow::Continue(())
                });
                if is_over {
                    dumped.unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert!(last >= 14, "{what}: {last}");
                }
                points += 1;
                if calls <= at {
                    break;
                }
            }
        }
    }
    println!("changed at {points} points");
    assert!(points > 30);
}
