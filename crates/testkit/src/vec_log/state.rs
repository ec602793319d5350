use std::{collections::BTreeMap, mem, sync::Arc};

use standpipe_log::{LogError, LogId, Lsn};

use super::{LogMistake, ticket::Slot};
use crate::Crash;

pub(crate) type Pins = BTreeMap<Vec<u8>, Vec<u8>>;

/// All that a store knows: the durable part, the open log's part, and the switches.
pub(crate) struct State {
    pub(crate) identity: LogId,
    pub(crate) records: BTreeMap<Lsn, Stored>,
    pub(crate) durable_end: Lsn,
    pub(crate) durable_pins: Pins,
    /// Records below this number were removed.
    pub(crate) removed_below: Lsn,

    /// Which opening of the log this is.
    pub(crate) life: u64,
    pub(crate) owned: bool,
    pub(crate) closed: bool,
    pub(crate) poisoned: Option<Arc<str>>,
    pub(crate) end: Lsn,
    pub(crate) pins: Pins,
    pub(crate) pending: Vec<Unit>,
    /// Where the readers of this life are, for the mistake that lets them block.
    pub(crate) slowest_reader: Option<Lsn>,

    pub(crate) record_limit_bytes: u64,
    pub(crate) capacity_bytes: Option<u64>,
    pub(crate) held: bool,
    pub(crate) fail_next_sync: bool,
    pub(crate) mistake: Option<LogMistake>,
}

#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) payload: Vec<u8>,
    pub(crate) damaged: bool,
}

/// What becomes durable as one.
pub(crate) struct Unit {
    pub(crate) change: Change,
    pub(crate) lsn: Lsn,
    pub(crate) slot: Arc<Slot>,
}

pub(crate) enum Change {
    Records(Vec<(Lsn, Vec<u8>)>),
    Pin(Vec<u8>, Vec<u8>),
    Advance,
}

impl State {
    pub(crate) fn new(identity: LogId, record_limit_bytes: u64) -> Self {
        State {
            identity,
            records: BTreeMap::new(),
            durable_end: Lsn::FIRST,
            durable_pins: Pins::new(),
            removed_below: Lsn::FIRST,
            life: 0,
            owned: false,
            closed: true,
            poisoned: None,
            end: Lsn::FIRST,
            pins: Pins::new(),
            pending: Vec::new(),
            slowest_reader: None,
            record_limit_bytes,
            capacity_bytes: None,
            held: false,
            fail_next_sync: false,
            mistake: None,
        }
    }

    pub(crate) fn has(&self, mistake: LogMistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// Starts a new life on what is durable.
    pub(crate) fn begin_life(&mut self) -> u64 {
        if self.has(LogMistake::ReusesNumbers) {
            self.durable_end = self.records.keys().next_back().map_or(Lsn::FIRST, |last| last.next());
        }
        self.life += 1;
        self.owned = true;
        self.closed = false;
        self.poisoned = None;
        self.end = self.durable_end;
        self.pins = self.durable_pins.clone();
        self.slowest_reader = None;
        self.life
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        let records: usize = self.records.values().map(|stored| stored.payload.len()).sum();
        let pins: usize = self.pins.iter().map(|(key, value)| key.len() + value.len()).sum();
        let pending: usize = self.pending.iter().map(Unit::size_bytes).sum();
        (records + pins + pending) as u64
    }

    pub(crate) fn push(&mut self, change: Change, lsn: Lsn) -> Arc<Slot> {
        let slot = Arc::new(Slot::default());
        self.pending.push(Unit { change, lsn, slot: Arc::clone(&slot) });
        if self.held && self.has(LogMistake::AcknowledgesEarly) {
            slot.fill(Ok(lsn));
        }
        if !self.held {
            self.sync();
        }
        slot
    }

    /// One sync of all that is pending.
    pub(crate) fn sync(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let units = mem::take(&mut self.pending);
        if mem::take(&mut self.fail_next_sync) {
            let cause: Arc<str> = "a planted failure of a sync".into();
            if !self.has(LogMistake::ForgivesFailedSync) {
                self.poisoned = Some(Arc::clone(&cause));
            }
            for unit in units {
                unit.slot.fill(Err(LogError::Poisoned { cause: Arc::clone(&cause) }));
            }
            return;
        }
        let mut slots = Vec::with_capacity(units.len());
        for unit in units {
            if self.has(LogMistake::DropWithdraws) && unit.slot.is_withdrawn() {
                continue;
            }
            self.apply(unit.change);
            slots.push((unit.slot, unit.lsn));
        }
        self.durable_end = self.end;
        // A ticket that resolves finds the durable end above its record.
        for (slot, lsn) in slots {
            slot.fill(Ok(lsn));
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Records(mut records) => {
                if self.has(LogMistake::Reorders) && records.len() > 2 {
                    let numbers: Vec<Lsn> = records.iter().map(|(lsn, _)| *lsn).collect();
                    records.reverse();
                    records.iter_mut().zip(numbers).for_each(|(record, lsn)| record.0 = lsn);
                }
                for (lsn, payload) in records {
                    self.durable_end = self.durable_end.max(lsn.next());
                    self.records.insert(lsn, Stored { payload, damaged: false });
                }
            }
            Change::Pin(key, value) if value.is_empty() => {
                self.durable_pins.remove(&key);
            }
            Change::Pin(key, value) => {
                self.durable_pins.insert(key, value);
            }
            Change::Advance => {}
        }
    }

    /// The process or the machine died; the first `kept` units that were not durable are found on disk.
    pub(crate) fn crash(&mut self, kept: usize, crash: Crash) {
        let cause: Arc<str> = "the log's process died".into();
        if crash == Crash::Kill && self.pending.is_empty() && self.has(LogMistake::LosesOnKill) {
            self.records.pop_last();
        }
        for (index, mut unit) in mem::take(&mut self.pending).into_iter().enumerate() {
            if !self.has(LogMistake::ForgetsTickets) {
                unit.slot.fill(Err(LogError::Poisoned { cause: Arc::clone(&cause) }));
            }
            if index < kept {
                if let Change::Records(records) = &mut unit.change
                    && self.has(LogMistake::HalfBatch)
                    && records.len() > 1
                {
                    records.truncate(records.len() / 2);
                }
                let end = match &unit.change {
                    Change::Records(records) => records.last().map_or(self.durable_end, |last| last.0.next()),
                    Change::Pin(..) => self.durable_end,
                    Change::Advance => unit.lsn,
                };
                self.apply(unit.change);
                self.durable_end = self.durable_end.max(end);
            }
        }
        self.life += 1;
        self.owned = false;
        self.closed = true;
        self.held = false;
    }
}

impl Unit {
    fn size_bytes(&self) -> usize {
        match &self.change {
            Change::Records(records) => records.iter().map(|(_, payload)| payload.len()).sum(),
            Change::Pin(key, value) => key.len() + value.len(),
            Change::Advance => 0,
        }
    }
}
