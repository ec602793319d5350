//! A log as it was before it was damaged, and what every repair of it promises.

use std::{collections::BTreeMap, ops::ControlFlow};

use standpipe_testkit::MemStorage;
use standpipe_wal::{
    Log, LogError, ReadProgress, RepairSettings, Repaired, TailReport, inspect, repair, verify,
};

use super::{append, open, read_all};

pub type Records = BTreeMap<u64, Vec<u8>>;

/// What was written.
pub struct Was {
    pub records: Records,
    pub pins: Vec<(Vec<u8>, Vec<u8>)>,
    /// Otherwise nothing proves the last records, and what opening takes for the end is the end.
    pub is_closed: bool,
}

pub fn watched() -> impl FnMut(ReadProgress) -> ControlFlow<()> {
    |_| ControlFlow::Continue(())
}

pub fn mend(from: &MemStorage) -> (MemStorage, Result<Repaired, LogError>) {
    let to = MemStorage::new();
    let repaired = repair(from, to.clone(), &RepairSettings::default(), &mut watched());
    (to.process_killed(), repaired)
}

/// What opening shows of a log; `None` where it is refused, or damage is met.
pub fn opened(damaged: &MemStorage) -> Option<Was> {
    let log = open(&damaged.process_killed()).ok()?;
    let is_closed = inspect(damaged).ok()?.tail == TailReport::Closed;
    Some(Was { records: read_all(&log).ok()?.into_iter().collect(), pins: log.pinned(), is_closed })
}

fn image(disk: &MemStorage) -> Vec<(String, Option<Vec<u8>>)> {
    disk.names().into_iter().map(|name| (name.clone(), disk.contents(&name))).collect()
}

/// Whether a record is listed as lost.
fn is_listed(repaired: &Repaired, lsn: u64) -> bool {
    repaired.damage.iter().filter_map(|damage| damage.lost).any(|lost| {
        lost.from.is_none_or(|from| from.number() <= lsn) && lost.to.is_none_or(|to| lsn < to.number())
    })
}

impl Was {
    /// Repairs and checks every promise; the records that are left.
    pub fn check(&self, damaged: &MemStorage, what: &str) -> (Repaired, Records) {
        let before = image(damaged);
        let calls = damaged.trace().len();
        let (to, repaired) = mend(damaged);
        let repaired = repaired.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(image(damaged) == before, "{what}: the original was changed");
        assert!(!damaged.trace()[calls..].iter().any(|call| call.kind.changes_disk()), "{what}");
        assert!(verify(&to).unwrap().is_sound(), "{what}: the copy is damaged");
        let log = open(&to).unwrap();
        let left: Records = read_all(&log).unwrap().into_iter().collect();
        assert_eq!(left.len() as u64, repaired.records, "{what}");
        for (lsn, payload) in &left {
            assert!(self.records.get(lsn) == Some(payload), "{what}: record {lsn} is not what was written");
        }
        // What nothing proves was never there for opening either.
        let is_shorter = || !self.is_closed && opened(damaged).is_some_and(|log| log.records == left);
        let torn = matches!(repaired.tail, TailReport::Torn(_)) || is_shorter();
        let end = left.keys().next_back().copied().unwrap_or(0);
        for lsn in self.records.keys().filter(|lsn| !left.contains_key(lsn)) {
            assert!(
                is_listed(&repaired, *lsn) || torn && *lsn > end,
                "{what}: record {lsn} is missing and not listed in {:?}",
                repaired.damage
            );
        }
        assert_eq!(
            repaired.is_lossless(),
            !repaired.has_stale_pins && repaired.damage.iter().all(|d| d.lost.is_none())
        );
        // No number is given again, but for what was never acknowledged.
        let next = append(&log, b"new").unwrap().number();
        assert!(next >= repaired.next.number(), "{what}");
        if !torn {
            assert!(next > *self.records.keys().next_back().unwrap(), "{what}: number {next} is given again");
            if !repaired.has_stale_pins {
                assert_eq!(log.pinned(), self.pins, "{what}");
            }
        }
        drop(log);
        let again: Records = read_all(&open(&to).unwrap()).unwrap().into_iter().collect();
        assert!(again.len() == left.len() + 1, "{what}: opened again, it holds {} records", again.len());
        (repaired, left)
    }
}
