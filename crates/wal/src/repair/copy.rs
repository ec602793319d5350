use std::{collections::VecDeque, ops::Range};

use standpipe_log::{Log, LogError, LogId, Lsn, Record, Storage, Ticket};

use super::Repaired;
use crate::{
    birth::Pins,
    compress, frame,
    inspect::{Damage, Meter, TailReport, Watch},
    plan::{Plan, Stop},
    record::Item,
    recovery::skipped_numbers,
    scan::apply_pin,
    segment,
    ticket::WalTicket,
    tour::{Halt, Left, Sound, Visit},
    wal::Wal,
};

/// How much waits to be written at most, in bytes, apart from the frame at hand.
const WAITING_BYTES_MAX: u64 = 8 << 20;

/// Appends what it is shown to a log.
pub(super) struct Copy<'a, T: Storage> {
    log: Wal<T>,
    meter: Meter<'a>,
    tickets: VecDeque<(WalTicket, u64)>,
    waiting_bytes: u64,
    pins: Pins,
    has_stale_pins: bool,
    records: u64,
    data_bytes: u64,
    start: Option<Lsn>,
    damage: Vec<Damage>,
    tail: TailReport,
    end: Lsn,
    /// What lies behind the last place whose number is known and may have held records, in bytes.
    lost_bytes: u64,
    /// Records behind the last frame may have been told.
    tells_early: bool,
    sequence: Option<u64>,
    /// How many bytes of records one byte of the original can hold.
    expansion: u64,
    /// The length of the longest segment of which anything is known, in bytes.
    reserved_bytes: u64,
}

impl<'a, T: Storage> Copy<'a, T> {
    pub(super) fn new(log: Wal<T>, plan: &Plan, watch: Watch<'a>) -> Self {
        let is_raw = |stop: &Stop| stop.written.as_ref().is_ok_and(|header| header.version == 1);
        let expansion = if plan.stops.iter().all(is_raw) { 1 } else { compress::EXPANSION_MAX as u64 };
        Copy {
            end: log.end(),
            log,
            meter: Meter::new(plan, watch),
            tickets: VecDeque::new(),
            waiting_bytes: 0,
            pins: Pins::new(),
            has_stale_pins: false,
            records: 0,
            data_bytes: 0,
            start: None,
            damage: Vec::new(),
            tail: TailReport::default(),
            lost_bytes: 0,
            tells_early: false,
            sequence: None,
            expansion,
            reserved_bytes: plan.stops.iter().filter_map(|stop| Some(stop.header?.length)).max().unwrap_or(0),
        }
    }

    /// Makes everything durable.
    pub(super) fn finish(mut self, original: LogId, id: LogId) -> Result<Repaired, LogError> {
        self.settle(0)?;
        // A record takes 8 bytes at least before it is compressed, so no more numbers than this were given in what is lost.
        let raw = self.lost_bytes.saturating_mul(self.expansion);
        let lost = if raw > 0 { skipped_numbers(true, false, raw) } else { 0 };
        let next = self.end.checked_add(lost);
        let next = next.ok_or_else(|| LogError::Full { what: "the number space is used up".to_owned() })?;
        self.log.advance_to(next)?;
        self.log.close()?;
        Ok(Repaired {
            original,
            id,
            records: self.records,
            data_bytes: self.data_bytes,
            pins: self.pins.len() as u64,
            start: self.start,
            next: next.max(self.log.end()),
            damage: self.damage,
            tail: self.tail,
            has_stale_pins: self.has_stale_pins,
        })
    }

    fn data(&mut self, stop: &Stop, offset: u64, lsn: Lsn, bytes: &[u8]) -> Result<(), LogError> {
        let end = self.log.end();
        if lsn < end {
            // Segments that do not belong together; the older one was believed.
            let what = format!("record {lsn} was met in an earlier segment already; this one is left out");
            let segment = stop.name.clone();
            self.damage.push(Damage { segment, offset, lsn, what, bytes: bytes.len() as u64, lost: None });
            return Ok(());
        }
        if lsn > end {
            self.log.advance_to(lsn)?;
        }
        let ticket = self.log.append(Record::new(&[bytes]))?;
        if ticket.lsn() != lsn {
            return Err(LogError::Invalid(format!("record {lsn} would be given number {}", ticket.lsn())));
        }
        self.start = self.start.or(Some(lsn));
        self.records += 1;
        self.data_bytes += bytes.len() as u64;
        self.wait_for(ticket, bytes.len())
    }

    /// The length that a segment had at most, in bytes.
    fn length_of(&self, stop: &Stop) -> u64 {
        match (&stop.written, &stop.header) {
            (Ok(header), Some(_)) => header.length,
            // As long as another one that is known: likely it is whole.
            _ if stop.file_bytes > 0 && stop.file_bytes >= self.reserved_bytes => stop.file_bytes,
            // Missing or cut off, and nothing says how long it was.
            _ => segment::LENGTH_MAX,
        }
    }

    /// Sets one pin; an empty value removes it.
    fn pin(&mut self, key: &[u8], value: &[u8]) -> Result<(), LogError> {
        let ticket = match self.log.pin(key, value) {
            // Pins on their way count twice where they replace one.
            Err(LogError::Full { .. }) => {
                self.settle(0)?;
                self.log.pin(key, value)?
            }
            other => other?,
        };
        self.wait_for(ticket, key.len() + value.len())
    }

    /// Takes over the pins as they are behind this frame.
    fn repin(&mut self, now: Pins) -> Result<(), LogError> {
        let before = std::mem::take(&mut self.pins);
        for key in before.keys().filter(|key| !now.contains_key(*key)) {
            self.pin(key, &[])?;
        }
        for (key, value) in &now {
            if before.get(key) != Some(value) {
                self.pin(key, value)?;
            }
        }
        self.pins = now;
        Ok(())
    }

    fn wait_for(&mut self, ticket: WalTicket, bytes: usize) -> Result<(), LogError> {
        let bytes = bytes as u64 + 64;
        self.tickets.push_back((ticket, bytes));
        self.waiting_bytes += bytes;
        self.settle(WAITING_BYTES_MAX)
    }

    /// Waits until no more than this many bytes wait. Every ticket is looked at: one frame that was refused for want of room does
    /// not stop those behind it.
    fn settle(&mut self, most: u64) -> Result<(), LogError> {
        while self.waiting_bytes > most {
            let Some((ticket, bytes)) = self.tickets.pop_front() else { break };
            ticket.wait()?;
            self.waiting_bytes -= bytes;
        }
        Ok(())
    }
}

impl<T: Storage> Visit for Copy<'_, T> {
    fn enter(&mut self, stop: &Stop) -> Result<(), Halt> {
        let missing = self.sequence.map_or(0, |before| (stop.sequence - before).saturating_sub(1));
        self.lost_bytes = self.lost_bytes.saturating_add(missing.saturating_mul(segment::LENGTH_MAX));
        if stop.header.is_none() {
            self.lost_bytes = self.lost_bytes.saturating_add(self.length_of(stop));
        }
        self.sequence = Some(stop.sequence);
        Ok(())
    }

    fn frame(&mut self, sound: &Sound<'_>) -> Result<(), Halt> {
        let payload = sound.cursor.payload();
        let restates = sound.frame.flags & frame::RESTATES != 0;
        if restates {
            let mut now = Pins::new();
            sound.cursor.items(sound.frame).for_each(|item| apply_pin(&mut now, payload, &item));
            self.repin(now)?;
            self.has_stale_pins = false;
        }
        for item in sound.cursor.items(sound.frame) {
            match &item {
                Item::Data { lsn, bytes } => {
                    self.data(sound.stop, sound.offset, *lsn, &payload[bytes.clone()])?;
                }
                Item::Pin { key, value } if !restates => {
                    let at = |range: &Range<usize>| &payload[range.clone()];
                    self.pin(at(key), at(value))?;
                    apply_pin(&mut self.pins, payload, &item);
                }
                _ => {}
            }
        }
        self.lost_bytes = 0;
        self.tells_early = sound.frame.flags & frame::TELLS_EARLY != 0;
        self.end = self.end.max(sound.cursor.lsn);
        self.meter.frame(sound)
    }

    fn damage(&mut self, damage: Damage) -> Result<(), Halt> {
        self.lost_bytes = self.lost_bytes.saturating_add(damage.bytes);
        self.has_stale_pins |= damage.bytes > 0 || damage.lost.is_some();
        self.damage.push(damage);
        Ok(())
    }

    fn leave(&mut self, stop: &Stop, left: &Left) -> Result<(), Halt> {
        self.end = self.end.max(left.lsn);
        if stop.seal.is_some() {
            // How far the numbers went is known.
            self.lost_bytes = 0;
        }
        if let Some(tail) = left.tail {
            self.tail = tail;
            let length = self.length_of(stop);
            if tail == TailReport::Damaged {
                self.lost_bytes = self.lost_bytes.max(length.saturating_sub(left.offset));
            }
            let is_relaxed = self.tells_early || stop.header.is_some_and(|header| header.relaxed);
            if is_relaxed && tail != TailReport::Closed {
                // Opening the original would leave these numbers out too: records with them may have been read and lost.
                self.lost_bytes = self.lost_bytes.max(length.saturating_sub(left.offset));
            }
        }
        self.meter.leave(stop)
    }
}
