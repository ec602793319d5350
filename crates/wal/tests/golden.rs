//! Files that version 1 wrote, read for ever.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::PathBuf};

use common::{append, batch, counting, payload, read_all, small};
use standpipe_wal::{Dir, Log, Lsn, Settings, TailReport, Ticket, Wal, verify};

fn place() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// Two segments: pins, a removed pin, single records, a batch, an empty record, a gap, a proof.
fn write(log: &impl Log) -> Vec<(u64, Vec<u8>)> {
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
    records
}

fn settings() -> Settings {
    Settings { segment_bytes: 8 << 10, entropy: counting(42), ..small() }
}

/// The segments without the zeros that were never written.
fn files(dir: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let mut bytes = fs::read(entry.as_ref().unwrap().path()).unwrap();
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            bytes.truncate(end.next_multiple_of(8));
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
    write(&log);
    log.close().unwrap();
    fs::create_dir_all(place()).unwrap();
    for (name, bytes) in files(made.path()) {
        fs::write(place().join(name), bytes).unwrap();
    }
}

#[test]
fn version_1_is_read() {
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in files(&place()) {
        fs::write(copy.path().join(name), bytes).unwrap();
    }
    let found = verify(&Dir::open_existing(copy.path()).unwrap()).unwrap();
    assert!(found.is_sound());
    assert_eq!((found.inspection.tail, found.inspection.segments.len()), (TailReport::Closed, 2));
    let reference = tempfile::tempdir().unwrap();
    let expected = write(&Wal::open(reference.path(), settings()).unwrap());
    let log = Wal::open(copy.path(), settings()).unwrap();
    assert_eq!(log.identity().to_string(), "f519f86ee2385b99f7b78fcf3f02d8b2");
    assert_eq!(read_all(&log).unwrap(), expected);
    assert_eq!(log.pinned(), [(b"schema".to_vec(), b"a bigint, b text".to_vec())]);
    assert_eq!(log.end(), Lsn::new(1001));
}

#[test]
fn version_1_is_written_byte_for_byte() {
    let made = tempfile::tempdir().unwrap();
    let log = Wal::open(made.path(), settings()).unwrap();
    write(&log);
    log.close().unwrap();
    assert!(files(made.path()) == files(&place()), "what is written is no longer version 1");
}
