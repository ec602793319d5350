//! Files that each version wrote, read for ever.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::PathBuf};

use common::{append, batch, counting, payload, read_all, small};
use standpipe_wal::{Compression, Dir, Log, Lsn, Settings, TailReport, Ticket, Wal, verify};

fn place(version: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}"))
}

const CURRENT: u32 = 2;

/// Two segments: pins, a removed pin, single records, a batch, an empty record, a gap, a proof, and, since version 2, a
/// compressed frame.
fn write(log: &impl Log, version: u32) -> Vec<(u64, Vec<u8>)> {
    log.pin(b"schema", b"a bigint, b text").unwrap().wait().unwrap();
    log.pin(b"gone", b"soon").unwrap().wait().unwrap();
    log.pin(b"gone", b"").unwrap().wait().unwrap();
    let mut records = Vec::new();
    for (number, len) in [(1, 40), (2, 1), (3, 700), (4, 2200)] {
        records.push((append(log, &payload(number, len)).unwrap().number(), payload(number, len)));
    }
    let several = [payload(5, 30), Vec::new(), payload(7, 31)];
    let last = batch(log, &several).unwrap().number();
    records.extend((last - 2..).zip(several));
    log.advance_to(Lsn::new(1000)).unwrap();
    records.push((append(log, &payload(8, 2000)).unwrap().number(), payload(8, 2000)));
    if version > 1 {
        let text = b"level=info msg=\"a row was applied\" table=flights ".repeat(100);
        records.push((append(log, &text).unwrap().number(), text));
    }
    records
}

fn settings() -> Settings {
    let compression = Compression::Lz4 { payload_bytes_min: 4096 };
    Settings { segment_bytes: 32 << 10, compression, entropy: counting(42), ..small() }
}

/// The segments without the zeros that were never written.
fn files(dir: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let mut bytes = fs::read(entry.as_ref().unwrap().path()).unwrap();
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            bytes.truncate(end.next_multiple_of(4096));
            (entry.unwrap().file_name().into_string().unwrap(), bytes)
        })
        .collect();
    files.sort();
    files
}

#[test]
#[ignore = "writes the golden files of the version that is current; run once for each version"]
fn write_golden() {
    let made = tempfile::tempdir().unwrap();
    let log = Wal::open(made.path(), settings()).unwrap();
    write(&log, CURRENT);
    log.close().unwrap();
    fs::create_dir_all(place(CURRENT)).unwrap();
    for (name, bytes) in files(made.path()) {
        fs::write(place(CURRENT).join(name), bytes).unwrap();
    }
}

fn is_read(version: u32, segments: usize) {
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in files(&place(version)) {
        fs::write(copy.path().join(name), bytes).unwrap();
    }
    let found = verify(&Dir::open_existing(copy.path()).unwrap()).unwrap();
    assert!(found.is_sound(), "{:?}", found.inspection.damage);
    assert_eq!((found.inspection.tail, found.inspection.segments.len()), (TailReport::Closed, segments));
    assert!(found.inspection.segments.iter().all(|segment| segment.version == version));
    let reference = tempfile::tempdir().unwrap();
    let expected = write(&Wal::open(reference.path(), settings()).unwrap(), version);
    let log = Wal::open(copy.path(), settings()).unwrap();
    assert_eq!(log.identity().to_string(), "f519f86ee2385b99f7b78fcf3f02d8b2");
    assert_eq!(read_all(&log).unwrap(), expected);
    assert_eq!(log.pinned(), [(b"schema".to_vec(), b"a bigint, b text".to_vec())]);
    assert_eq!(log.end(), Lsn::new(if version == 1 { 1001 } else { 1002 }));
    // And gone on with, in the current version.
    let next = append(&log, b"more").unwrap();
    log.close().unwrap();
    let again = Wal::open(copy.path(), settings()).unwrap();
    assert_eq!(read_all(&again).unwrap().last(), Some(&(next.number(), b"more".to_vec())));
}

#[test]
fn version_1_is_read() {
    is_read(1, 2);
}

#[test]
fn version_2_is_read() {
    is_read(2, 3);
}

#[test]
fn the_current_version_is_written_byte_for_byte() {
    let made = tempfile::tempdir().unwrap();
    let log = Wal::open(made.path(), settings()).unwrap();
    write(&log, CURRENT);
    log.close().unwrap();
    assert!(files(made.path()) == files(&place(CURRENT)), "what is written is no longer version {CURRENT}");
}
