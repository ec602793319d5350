use standpipe_log::Lsn;

use super::{Damage, Inspection, Meter, SegmentReport, Spare, SpareKind, Totals, Watch};
use crate::{
    birth::Pins,
    frame,
    plan::{Plan, Stop},
    record::Item,
    scan::apply_pin,
    segment::{self, HEADER_BYTES},
    tour::{Halt, Left, Sound, Visit},
};

/// Adds up what it is shown.
pub(super) struct Gather<'a> {
    found: Inspection,
    pins: Pins,
    meter: Meter<'a>,
}

impl<'a> Gather<'a> {
    pub(super) fn new(plan: &Plan, watch: Watch<'a>) -> Self {
        let mut found = Inspection { id: plan.id, ..Inspection::default() };
        for (name, bytes) in &plan.others {
            match spare(name) {
                Some(kind) => found.spares.push(Spare { name: name.clone(), kind, bytes: *bytes }),
                None => found.strangers.push(name.clone()),
            }
        }
        if let Some((name, bytes)) = &plan.ready {
            found.spares.push(Spare { name: name.clone(), kind: SpareKind::Ready, bytes: *bytes });
        }
        Gather { found, pins: Pins::new(), meter: Meter::new(plan, watch) }
    }

    pub(super) fn finish(mut self) -> Inspection {
        self.found.pins = self.pins.len() as u64;
        self.found.pinned = self.pins.into_iter().collect();
        self.found
    }
}

impl Visit for Gather<'_> {
    fn enter(&mut self, stop: &Stop) -> Result<(), Halt> {
        let base = stop.base().or(self.found.end).unwrap_or(Lsn::FIRST);
        self.found.segments.push(SegmentReport {
            name: stop.name.clone(),
            sequence: stop.sequence,
            version: stop.written.as_ref().map_or(0, |header| header.version),
            base,
            end: base,
            frames: 0,
            records: 0,
            used_bytes: 0,
            allocated_bytes: stop.header.map_or(stop.file_bytes, |header| header.length),
            proven_bytes: 0,
            is_sealed: stop.seal.is_some(),
            is_damaged: stop.fault.is_some(),
            totals: Totals::default(),
        });
        Ok(())
    }

    fn frame(&mut self, sound: &Sound<'_>) -> Result<(), Halt> {
        let (frame, payload) = (sound.frame, sound.cursor.payload());
        if frame.flags & frame::RESTATES != 0 {
            self.pins.clear();
        }
        let mut totals = Totals {
            stored_bytes: u64::from(frame.payload_bytes),
            raw_bytes: payload.len() as u64,
            padding_bytes: (sound.cursor.offset - sound.offset)
                .saturating_sub(frame::HEADER_BYTES as u64 + u64::from(frame.payload_bytes)),
            ..Totals::default()
        };
        for item in sound.cursor.items(frame) {
            if let Item::Data { lsn, bytes } = &item {
                self.found.start = self.found.start.or(Some(*lsn));
                totals.data_frames = 1;
                totals.data_records += 1;
                totals.data_bytes += bytes.len() as u64;
            }
            apply_pin(&mut self.pins, payload, &item);
        }
        if let Some(segment) = self.found.segments.last_mut() {
            segment.frames += 1;
            segment.records += u64::from(frame.records);
            segment.used_bytes += sound.cursor.offset - sound.offset;
            segment.totals += totals;
        }
        self.found.end = Some(sound.cursor.lsn);
        self.meter.frame(sound)
    }

    fn damage(&mut self, damage: Damage) -> Result<(), Halt> {
        let at = self.found.segments.iter_mut().rev().find(|segment| segment.name == damage.segment);
        if let Some(segment) = at {
            segment.is_damaged = true;
        }
        self.found.damage.push(damage);
        Ok(())
    }

    fn leave(&mut self, stop: &Stop, left: &Left) -> Result<(), Halt> {
        if let Some(segment) = self.found.segments.last_mut() {
            segment.end = left.lsn.max(segment.base);
            segment.proven_bytes = stop.seal.map_or(left.proven, |seal| seal.end);
            if stop.written.is_ok() && stop.header.is_some() {
                segment.used_bytes += HEADER_BYTES;
            }
            self.found.checked_bytes += segment.used_bytes;
        }
        if stop.header.is_some() {
            self.found.end = Some(left.lsn);
        }
        if let Some(tail) = left.tail {
            self.found.tail = tail;
        }
        self.meter.leave(stop)
    }
}

fn spare(name: &str) -> Option<SpareKind> {
    if segment::is_draft(name) {
        return Some(SpareKind::Draft);
    }
    segment::is_free(name).then_some(SpareKind::Free)
}
