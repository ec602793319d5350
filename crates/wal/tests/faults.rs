//! Each kind of call fails in each way, by number, over one scripted run.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    time::Duration,
};

use common::{PATIENCE, append, batch, fill, open, open_with, payload, read_all, small};
use standpipe_testkit::{CallKind, Cut, Fault, MemStorage};
use standpipe_wal::{Durability, Log, LogError, Lsn, Reader, Settings, Ticket, Wal};

type Records = Vec<(u64, Vec<u8>)>;

/// What one run asked of the log and what it was told.
#[derive(Default)]
struct Run {
    acknowledged: Records,
    /// Asked for and not acknowledged: there, or not.
    open: Records,
    floor: u64,
    refusal: Option<LogError>,
}

impl Run {
    /// Records in groups, a batch, pins, rotations, a truncation, a gap, reading, and a close; ends at the first refusal.
    fn go(&mut self, log: &Wal<MemStorage>) -> Result<(), LogError> {
        self.put(log, 0..5, 3000)?;
        log.pin(b"key", b"value")?.wait()?;
        self.batch(log, 10..14)?;
        self.put(log, 20..24, 3000)?;
        let middle = Lsn::new(log.end().number() - 3);
        self.floor = middle.number();
        log.truncate_before(middle)?;
        self.put(log, 30..36, 3000)?;
        log.advance_to(Lsn::new(log.end().number() + 50))?;
        self.put(log, 40..42, 500)?;
        let mut reader = log.follow(middle)?;
        while reader.next(Duration::ZERO)?.is_some() {}
        log.close()
    }

    fn put(
        &mut self,
        log: &Wal<MemStorage>,
        numbers: std::ops::Range<u64>,
        len: usize,
    ) -> Result<(), LogError> {
        for number in numbers {
            let bytes = payload(number, len);
            let lsn = log.end().number();
            self.open = vec![(lsn, bytes)];
            append(log, &self.open[0].1)?;
            self.acknowledged.append(&mut self.open);
        }
        Ok(())
    }

    fn batch(&mut self, log: &Wal<MemStorage>, numbers: std::ops::Range<u64>) -> Result<(), LogError> {
        let several: Vec<_> = numbers.map(|number| payload(number, 700)).collect();
        self.open = (log.end().number()..).zip(several.clone()).collect();
        batch(log, &several)?;
        self.acknowledged.append(&mut self.open);
        Ok(())
    }

    /// What an opening shows: all that was acknowledged and not truncated, and nothing that was never asked for.
    fn check(&self, left: &Records, what: &str) {
        for record in self.acknowledged.iter().filter(|record| record.0 >= self.floor) {
            assert!(left.contains(record), "{what}: the acknowledged record {} is lost", record.0);
        }
        let there = self.open.iter().filter(|record| left.contains(record)).count();
        assert!(there == 0 || there == self.open.len(), "{what}: {there} records of a batch");
        for record in left {
            let known = self.acknowledged.contains(record) || self.open.contains(record);
            assert!(known, "{what}: record {} was never asked for", record.0);
        }
    }
}

#[derive(Debug, Default, PartialEq)]
struct Tally {
    tried: usize,
    unnoticed: usize,
    /// Opening refused; a second opening did not.
    not_opened: usize,
    full: usize,
    poisoned: usize,
    other: usize,
    panicked: usize,
}

/// A log of several segments whose process was killed, and what is in it.
fn base() -> &'static (MemStorage, Records) {
    static BASE: OnceLock<(MemStorage, Records)> = OnceLock::new();
    BASE.get_or_init(|| {
        let disk = MemStorage::new();
        let log = open(&disk).unwrap();
        let records = fill(&log, 1000..1012, 3000);
        let killed = disk.process_killed();
        disk.power_off();
        (killed, records)
    })
}

/// Runs once for each call of this kind, which then fails.
fn sweep(kind: CallKind, fault: &Fault) -> Tally {
    let mut tally = Tally::default();
    let (base, records) = base();
    for nth in 1..400 {
        let disk = base.process_killed();
        disk.fail_nth(kind, nth, fault.clone());
        let what = format!("{kind:?} {nth}, {fault:?}");
        let mut run = Run { acknowledged: records.clone(), ..Run::default() };
        let opened = catch_unwind(AssertUnwindSafe(|| open(&disk)));
        tally.panicked += usize::from(opened.is_err());
        let log = match opened {
            Ok(Ok(log)) => log,
            // Nothing is left of an opening that failed, not even its lock.
            _ => {
                tally.not_opened += 1;
                open(&disk).unwrap_or_else(|error| panic!("{what}, opened again: {error}"))
            }
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| run.go(&log)));
        let was_made = made(&disk, kind) >= nth;
        tally.panicked += usize::from(outcome.is_err());
        run.refusal = outcome.unwrap_or(Err(LogError::Closed)).err();
        match &run.refusal {
            None => tally.unnoticed += usize::from(was_made),
            Some(LogError::Full { .. }) => {
                tally.full += 1;
                // There is room again: the log that refused goes on.
                run.open.clear();
                run.put(&log, 100..104, 2000)
                    .unwrap_or_else(|error| panic!("{what}, with room again: {error}"));
            }
            Some(LogError::Poisoned { .. }) => {
                tally.poisoned += 1;
                let again = append(&log, b"later");
                assert!(matches!(again, Err(LogError::Poisoned { .. })), "{what}: then {again:?}");
                assert!(matches!(log.close(), Err(LogError::Poisoned { .. })), "{what}: closed");
            }
            Some(_) => tally.other += 1,
        }
        let images = [
            ("killed", disk.process_killed()),
            ("cut", disk.power_cut(Cut::LoseUnsynced)),
            ("kept", disk.power_cut(Cut::KeepAll)),
        ];
        let _ = log.close();
        drop(log);
        for (how, image) in images.into_iter().chain([("closed", disk.process_killed())]) {
            let what = format!("{what}, {how}");
            let log = open(&image).unwrap_or_else(|error| panic!("{what}: {error}"));
            run.check(&read_all(&log).unwrap(), &what);
            fill(&log, 200..202, 2000);
        }
        if !was_made && made(&disk, kind) < nth {
            break;
        }
        tally.tried += 1;
    }
    println!("{kind:?}, {fault:?}: {tally:?}");
    tally
}

fn made(disk: &MemStorage, kind: CallKind) -> u64 {
    disk.trace().iter().filter(|call| call.kind == kind).count() as u64
}

#[test]
fn every_call_fails_with_an_error_of_the_disk_by_number() {
    let tallies: Vec<_> = CallKind::ALL.iter().map(|kind| (kind, sweep(*kind, &Fault::EIO))).collect();
    for (kind, tally) in &tallies {
        assert!(
            tally.tried > 0 || matches!(kind, CallKind::SyncAll | CallKind::Rename),
            "{kind:?} was never made"
        );
    }
    for kind in [CallKind::WriteAt, CallKind::SyncData] {
        let tally = &tallies.iter().find(|(of, _)| **of == kind).unwrap().1;
        assert!(tally.poisoned > 3 && tally.full == 0, "{kind:?}: {tally:?}");
    }
}

#[test]
fn l11_every_call_finds_the_disk_full_by_number_and_then_room_again() {
    let mut full = 0;
    for kind in [CallKind::Create, CallKind::Rename, CallKind::SyncDir, CallKind::WriteAt]
        .into_iter()
        .chain([CallKind::SyncData, CallKind::SyncAll, CallKind::Allocate])
    {
        full += sweep(kind, &Fault::ENOSPC).full;
    }
    assert!(full > 3, "{full}");
}

#[test]
fn interruptions_and_short_calls_are_carried_on() {
    for fault in [Fault::EINTR, Fault::Short(1), Fault::Short(700)] {
        for kind in [CallKind::WriteAt, CallKind::ReadAt] {
            let tally = sweep(kind, &fault);
            assert!(tally.tried > 3, "{tally:?}");
            assert_eq!(tally.unnoticed, tally.tried, "{kind:?}, {fault:?}: {tally:?}");
            assert_eq!(tally.not_opened, 0, "{kind:?}, {fault:?}: {tally:?}");
        }
    }
    // Where the system may be interrupted and the log does not say how: nothing is lost either way.
    for kind in CallKind::ALL {
        sweep(kind, &Fault::EINTR);
    }
}

#[test]
fn writes_that_fail_half_done_lose_nothing() {
    for bytes in [1, 100, 2000] {
        let tally = sweep(CallKind::WriteAt, &Fault::Partial { bytes, os: 5 });
        assert!(tally.poisoned > 3, "{tally:?}");
    }
}

#[test]
fn every_call_panics_by_number_and_whoever_waits_hears_of_it() {
    for kind in CallKind::ALL {
        let tally = sweep(kind, &Fault::Panic);
        // In a call of the caller's own the panic is theirs; in the log's work it is a poison.
        if matches!(kind, CallKind::WriteAt | CallKind::SyncData) {
            assert!(tally.poisoned > 3, "{kind:?}: {tally:?}");
        }
    }
}

#[test]
fn spans_of_any_length_are_no_trouble() {
    // Whatever depends on time: the period between syncs, the idle proof, a reader's patience.
    for durability in [Durability::Periodic(Duration::MAX), Durability::Periodic(Duration::from_nanos(1))] {
        for idle_proof in [None, Some(Duration::ZERO), Some(Duration::from_nanos(1)), Some(Duration::MAX)] {
            let disk = MemStorage::new();
            let log = Arc::new(open_with(&disk, Settings { durability, idle_proof, ..small() }).unwrap());
            let mut reader = log.follow(Lsn::FIRST).unwrap();
            let waiter = std::thread::spawn(move || {
                let found = reader.next(Duration::MAX).unwrap();
                found.map(|entry| entry.lsn.number())
            });
            let kept = fill(&*log, 0..20, 600);
            assert_eq!(waiter.join().unwrap(), Some(1));
            log.close().unwrap();
            // What closing says is durable is so, whatever the clock said.
            let after = open(&disk.power_cut(Cut::LoseUnsynced)).unwrap();
            assert_eq!(read_all(&after).unwrap(), kept, "{durability:?} {idle_proof:?}");
        }
    }
}

#[test]
fn a_period_is_kept_by_a_log_that_is_never_idle() {
    let disk = MemStorage::new();
    let period = Duration::from_millis(1);
    let log = open_with(&disk, Settings { durability: Durability::Periodic(period), ..small() }).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut number = 0;
    while made(&disk, CallKind::SyncData) < 5 {
        fill(&log, number..number + 1, 10);
        number += 1;
        assert!(std::time::Instant::now() < deadline, "no sync came");
    }
    assert!(number >= 5);
}

#[test]
fn no_wall_clock_is_read() {
    let sources = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut looked_at = 0;
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains("SystemTime"), "{} reads a clock that may be set", path.display());
            looked_at += 1;
        }
    }
    assert!(looked_at > 10);
}
