//! Seeded lives of a log: any operations, any faults, any deaths, in any order.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    open_with, payload, read_all, small,
    truth::{Truth, set},
};
use standpipe_testkit::{CallKind, Cut, Fault, MemStorage, Random};
use standpipe_wal::{Compression, Durability, Log, LogError, Lsn, Record, Settings, Ticket, Wal, verify};

struct World {
    random: Random,
    disk: MemStorage,
    settings: Settings,
    truth: Truth,
    /// The highest number that was ever acknowledged or read.
    highest: u64,
    next: u64,
    /// The power goes, or went, in this life.
    doomed: bool,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    lives: usize,
    acknowledged: usize,
    refused: usize,
    poisoned: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let segment_bytes = [8 << 10, 16 << 10, 64 << 10][random.below(3) as usize];
        let durability = if random.chance(1) { Durability::Sync } else { Durability::Group };
        let segment_ahead = random.below(2) == 0;
        let compression =
            if random.below(2) == 0 { Compression::None } else { Compression::Lz4 { payload_bytes_min: 64 } };
        let size_bytes_max = 512 << 10;
        let settings =
            Settings { segment_bytes, durability, size_bytes_max, segment_ahead, compression, ..small() };
        let (disk, truth, tally) = (MemStorage::new(), Truth::default(), Tally::default());
        World { random, disk, settings, truth, highest: 0, next: 0, doomed: false, tally }
    }

    /// Opens what is there, which must be what may be there.
    fn open(&mut self) -> Wal<MemStorage> {
        let log = match open_with(&self.disk, self.settings.clone()) {
            Ok(log) => log,
            Err(LogError::Io { .. } | LogError::Full { .. }) => {
                self.disk.clear_faults();
                open_with(&self.disk, self.settings.clone()).unwrap()
            }
            Err(error) => panic!("{error}"),
        };
        self.disk.clear_faults();
        let (left, pins) = (read_all(&log).unwrap(), log.pinned().into_iter().collect());
        self.truth.check(&left, &pins).unwrap();
        assert!(self.truth.id.is_none_or(|id| id == log.identity()));
        self.highest = self.highest.max(left.last().map_or(0, |record| record.0));
        let (id, floor) = (Some(log.identity()), self.truth.floor);
        self.truth = Truth { id, kept: left.into_iter().collect(), floor, pins, ..Truth::default() };
        self.tally.lives += 1;
        log
    }

    /// One life, until it is closed or dies.
    fn live(&mut self) {
        let log = self.open();
        for _ in 0..self.random.below(25) {
            match self.random.below(12) {
                0..=5 => self.append(&log),
                6 => self.pin(&log),
                7 => {
                    let lsn = Lsn::new(log.start().number() + self.random.below(40));
                    let lsn = lsn.min(log.durable_end());
                    self.truth.floor = self.truth.floor.max(lsn.number());
                    let _ = log.truncate_before(lsn);
                }
                8 => {
                    let _ = log.advance_to(Lsn::new(log.end().number() + self.random.below(30)));
                }
                9 => {
                    let found = verify(&self.disk);
                    assert!(
                        found.is_err() || found.unwrap().is_sound(),
                        "a log beside its owner looks damaged"
                    );
                }
                _ => self.plan(),
            }
        }
        match self.random.below(4) {
            0 => drop(log.close()),
            1 => drop(log),
            2 => self.replace(self.disk.process_killed(), log),
            _ => {
                let cuts = self.disk.cuts(12);
                let cut = cuts[self.random.below(cuts.len() as u64) as usize];
                self.replace(self.disk.power_cut(cut), log);
            }
        }
        if std::mem::take(&mut self.doomed) || self.random.chance(1) {
            let cuts: Vec<Cut> = self.disk.cuts(12);
            let cut = cuts[self.random.below(cuts.len() as u64) as usize];
            self.disk = self.disk.power_cut(cut);
        }
        self.disk.clear_faults();
    }

    fn replace(&mut self, left: MemStorage, log: Wal<MemStorage>) {
        self.disk.power_off();
        drop(log);
        self.disk = left;
    }

    fn append(&mut self, log: &Wal<MemStorage>) {
        let mut tickets = Vec::new();
        for _ in 0..=self.random.below(4) {
            let payloads: Vec<Vec<u8>> = (0..=self.random.below(4))
                .map(|_| {
                    self.next += 1;
                    let len = [0, 10, 300, 3000, 9000][self.random.below(5) as usize];
                    payload(self.next, len)
                })
                .collect();
            let parts: Vec<[&[u8]; 1]> = payloads.iter().map(|payload| [payload.as_slice()]).collect();
            let records: Vec<Record<'_>> = parts.iter().map(|parts| Record::new(parts)).collect();
            match log.append_batch(&records) {
                Ok(ticket) => {
                    let first = ticket.lsn().number() + 1 - payloads.len() as u64;
                    assert!(first > self.highest, "{first} was given, {} had been shown", self.highest);
                    self.truth.coming.push((first, payloads));
                    tickets.push((first, ticket));
                }
                Err(error) => self.heard(&error),
            }
        }
        for (first, ticket) in tickets {
            let outcome = ticket.wait();
            let at = self.truth.coming.iter().position(|coming| coming.0 == first).unwrap();
            match outcome {
                Ok(last) => {
                    assert_eq!(at, 0, "acknowledged before the one before it");
                    let (first, payloads) = self.truth.coming.remove(0);
                    self.truth.kept.extend((first..).zip(payloads));
                    self.highest = last.number();
                    self.tally.acknowledged += 1;
                }
                Err(error) => {
                    self.heard(&error);
                    if matches!(error, LogError::Full { .. }) {
                        self.truth.coming.remove(at);
                    }
                }
            }
        }
    }

    fn pin(&mut self, log: &Wal<MemStorage>) {
        self.next += 1;
        let key = vec![b'a' + self.random.below(4) as u8];
        let value = if self.random.chance(2) { Vec::new() } else { payload(self.next, 200) };
        match log.pin(&key, &value).and_then(Ticket::wait) {
            Ok(_) => set(&mut self.truth.pins, &key, &value),
            Err(error) => {
                self.heard(&error);
                if matches!(error, LogError::Poisoned { .. }) {
                    self.truth.coming_pins.push((key, value));
                }
            }
        }
    }

    fn heard(&mut self, error: &LogError) {
        match error {
            LogError::Full { .. } => self.tally.refused += 1,
            LogError::Poisoned { .. } => self.tally.poisoned += 1,
            other => panic!("{other}"),
        }
    }

    fn plan(&mut self) {
        let kinds = [
            CallKind::Create,
            CallKind::Rename,
            CallKind::Remove,
            CallKind::SyncDir,
            CallKind::WriteAt,
            CallKind::SyncData,
            CallKind::SyncAll,
            CallKind::Allocate,
        ];
        let kind = kinds[self.random.below(kinds.len() as u64) as usize];
        let bytes = self.random.below(3000) as usize;
        let fault = match self.random.below(6) {
            0 => Fault::EIO,
            1 => Fault::Partial { bytes, os: 5 },
            2 | 3 => Fault::Short(1 + bytes),
            _ => Fault::ENOSPC,
        };
        self.disk.fail_nth(kind, 1 + self.random.below(6), fault);
        if self.random.chance(1) {
            self.doomed = true;
            self.disk.stop_after(self.disk.calls() + self.random.below(30));
        }
    }
}

#[test]
fn no_life_breaks_a_promise() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(150);
    let mut total = Tally::default();
    for seed in 0..seeds {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..8 {
                world.live();
            }
            world.open();
            world.tally
        });
        let tally = run.unwrap_or_else(|panic| {
            println!("seed {seed}");
            std::panic::resume_unwind(panic)
        });
        total.lives += tally.lives;
        total.acknowledged += tally.acknowledged;
        total.refused += tally.refused;
        total.poisoned += tally.poisoned;
    }
    let Tally { lives, acknowledged, refused, poisoned } = total;
    println!(
        "seeds {seeds}, lives {lives}, acknowledged {acknowledged}, refused {refused}, poisoned {poisoned}"
    );
    assert!(acknowledged > lives && refused > 0 && poisoned > 0);
}
