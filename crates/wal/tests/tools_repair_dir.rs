//! Repairs from directory to directory: what has which name when, and which places are refused.
#![allow(clippy::unwrap_used)]

mod common;

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::Path};

use common::{fill, read_all, small};
use standpipe_wal::{Dir, Log, LogError, RepairSettings, Settings, Wal, repair_dir, verify};

const FIRST: &str = "00000000000000000001.wal";
const SECOND: &str = "00000000000000000002.wal";

fn watched() -> impl FnMut(standpipe_wal::ReadProgress) -> ControlFlow<()> {
    |_| ControlFlow::Continue(())
}

fn small_log(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let log = Wal::open(path, Settings { entropy: Default::default(), ..small() }).unwrap();
    let records = fill(&log, 0..12, 3000);
    log.close().unwrap();
    records
}

fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(path)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn a_directory_gets_its_name_when_all_is_in_it() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("log"), place.path().join("mended"));
    let records = small_log(&from);
    let mut bytes = fs::read(from.join(SECOND)).unwrap();
    let at = bytes.windows(7).position(|window| window == b"record ").unwrap();
    bytes[at] ^= 1;
    fs::write(from.join(SECOND), &bytes).unwrap();
    let before = files(&from);
    // Given up in the middle: nothing is left.
    let mut calls = 0;
    let given_up = repair_dir(&from, &to, &RepairSettings::default(), &mut |_| {
        calls += 1;
        if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(
        matches!(&given_up, Err(LogError::Io { error, .. }) if error.kind() == std::io::ErrorKind::Interrupted)
    );
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    // Left by a killed one: removed. A directory that is there and empty is taken.
    fs::create_dir(place.path().join("mended.repairing")).unwrap();
    fs::write(place.path().join("mended.repairing").join(FIRST), b"half").unwrap();
    fs::create_dir(&to).unwrap();
    let repaired = repair_dir(&from, &to, &RepairSettings::default(), &mut watched()).unwrap();
    assert!(!repaired.is_lossless());
    assert_eq!(repaired.damage.len(), 1);
    assert_eq!(files(&from), before);
    assert!(!place.path().join("mended.repairing").exists());
    let log = Wal::open(&to, small()).unwrap();
    let left = read_all(&log).unwrap();
    assert_eq!(left.len(), records.len() - 1);
    assert!(left.iter().all(|record| records.contains(record)));
    assert!(verify(&Dir::open_existing(&to).unwrap()).unwrap().is_sound());
}

#[test]
fn places_that_are_taken_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("log");
    small_log(&from);
    let before = files(&from);
    let refused = |to: &Path, why: &str| {
        let outcome = repair_dir(&from, to, &RepairSettings::default(), &mut watched());
        let told = outcome.unwrap_err().to_string();
        assert!(told.contains(why), "{told}");
    };
    refused(&from, "not empty");
    refused(&from.join("inside"), "outside");
    refused(&place.path().join("no/parent/there"), "looking for");
    fs::write(place.path().join("file"), b"").unwrap();
    refused(&place.path().join("file"), "no directory");
    fs::create_dir(place.path().join("full")).unwrap();
    fs::write(place.path().join("full/notes"), b"").unwrap();
    refused(&place.path().join("full"), "not empty");
    // What lies in the way of the unfinished copy and is none.
    fs::create_dir(place.path().join("to.repairing")).unwrap();
    fs::write(place.path().join("to.repairing/notes"), b"mine").unwrap();
    refused(&place.path().join("to"), "no repair left there");
    assert_eq!(fs::read(place.path().join("to.repairing/notes")).unwrap(), b"mine");
    assert_eq!(files(&from), before);
    assert!(!from.join("inside").exists());
}
