//! The suites that every log and every storage runs.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use standpipe_testkit::{LogFixture, MemFixture, log_suite, storage_suite};
use standpipe_wal::{Dir, Durability, LogError, Settings, Wal};

fn settings() -> Settings {
    Settings { entropy: Default::default(), ..common::small() }
}

struct InDir {
    place: tempfile::TempDir,
    settings: Settings,
}

impl LogFixture for InDir {
    type Log = Wal;

    fn open(&mut self) -> Result<Wal, LogError> {
        Wal::open(self.place.path(), self.settings.clone())
    }

    fn record_limit_bytes(&self) -> Option<u64> {
        Some(self.settings.record_bytes_max)
    }
}

#[test]
fn the_log_on_a_faulty_disk() {
    for durability in [Durability::Group, Durability::Sync] {
        let settings = Settings { durability, ..settings() };
        let report = log_suite::run(|| {
            let settings = settings.clone();
            let limit = settings.record_bytes_max;
            MemFixture::new(move |disk| Wal::open_in(disk, settings.clone())).with_record_limit(limit)
        });
        assert_eq!((report.cases, report.partly), (20, vec![]));
    }
}

#[test]
fn the_log_with_proofs_when_idle() {
    let settings = Settings { idle_proof: Some(Duration::from_millis(1)), ..settings() };
    log_suite::run(|| {
        let settings = settings.clone();
        MemFixture::new(move |disk| Wal::open_in(disk, settings.clone()))
    });
}

#[test]
fn the_log_in_a_directory() {
    for settings in [settings(), Settings { segment_bytes: 1 << 20, ..Settings::default() }] {
        let report =
            log_suite::run(|| InDir { place: tempfile::tempdir().unwrap(), settings: settings.clone() });
        assert_eq!(report.cases, 20);
    }
}

#[test]
fn the_directory_is_a_storage() {
    let place = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    let cases = storage_suite::run(|| {
        next.set(next.get() + 1);
        Dir::open(place.path().join("a").join(next.get().to_string())).unwrap()
    });
    println!("storage cases {cases}");
}
