use standpipe_log::{File, LogError, Storage};

use super::Pen;
use crate::{
    birth::{self, Stillborn, length_for},
    frame,
    lock::lock,
    segment,
    shared::Shared,
    space::Load,
    supply::Order,
};

/// Segments grow by this factor, from the first one to the size that was set.
const GROWTH: u64 = 2;
/// The next segment is made when this part of the one before is full: a quarter.
const ORDERED_AT: u64 = 4;
/// How much that nobody syncs is left to the system before it is asked to bring it to the disk, in bytes. All of a segment
/// has to be there before the next one is begun.
const WRITE_OUT_BYTES: u64 = 1 << 20;
/// Groups from this size on pay little for blocks that were never written, and much for writing them twice.
const ZEROED_GROUP_BYTES_MAX: u64 = 128 << 10;

/// Going on in the next segment, and being refused one.
impl<F: File> Pen<F> {
    /// Has the next segment made when this one is filling up, and brought to the disk what nobody syncs.
    pub(super) fn order<S: Storage<File = F>>(&mut self, shared: &Shared<S>) -> Result<(), LogError> {
        let header = self.active.header;
        if self.active.synced <= segment::HEADER_BYTES {
            // The next one gets a name only when this one was begun on disk, whatever was promised of what is in it.
            self.sync(shared)?;
        }
        let (offset, from) = (self.active.offset, self.written_out.max(self.active.synced));
        if offset >= from + WRITE_OUT_BYTES {
            self.active.file.write_out(from, offset - from);
            self.written_out = offset;
        }
        if !self.is_ordered && offset >= header.length / ORDERED_AT {
            self.is_ordered = true;
            let length = next_length(header.length, shared.settings.segment_bytes);
            let is_zeroed = self.zeroes(shared, 0);
            shared.supply.order(Order { after: header, length, length_min: length, is_zeroed });
        }
        Ok(())
    }

    /// Whether writing the next segment once before it is used saves more than it costs: for small groups, that are synced.
    fn zeroes<S: Storage<File = F>>(&self, shared: &Shared<S>, span: u64) -> bool {
        let mean = (self.active.offset - segment::HEADER_BYTES) / self.groups.max(1);
        !shared.settings.durability.is_relaxed() && mean.max(span) < ZEROED_GROUP_BYTES_MAX
    }

    /// Goes on in the next segment, with room for a frame of this span. Costs no sync where the segment is ready.
    pub(super) fn rotate<S: Storage<File = F>>(
        &mut self,
        shared: &Shared<S>,
        span: u64,
    ) -> Result<(), Stillborn> {
        // Before the successor says where this one ends, that must be on disk.
        self.sync(shared).map_err(Stillborn::Failed)?;
        let length_min = length_for(&self.pins, span, 0);
        let grown = next_length(self.active.header.length, shared.settings.segment_bytes);
        let is_zeroed = self.zeroes(shared, span);
        let length = grown.max(length_min);
        let order = Order { after: self.active.header, length, length_min, is_zeroed };
        let mut next = shared.supply.take(shared, order)?;
        shared.names.check().map_err(Stillborn::Failed)?;
        let seal = self.active.seal();
        (next.base, next.lsn, next.flags) = (seal.end_lsn, seal.end_lsn, self.active.flags);
        let (mut bytes, records) = birth::opening(Some(&seal), &self.pins);
        let stamp = next.stamp(frame::RESTATES, records, seal.end_lsn);
        let entry = next.entry();
        let begun = next.write(&mut bytes, stamp);
        self.active = next;
        {
            let mut queue = lock(&shared.queue);
            (queue.space.active_free, queue.space.ready) = (self.active.free(), 0);
        }
        begun.map_err(Stillborn::Failed)?;
        self.is_sealed = false;
        self.is_ordered = false;
        self.groups = 0;
        self.written_out = 0;
        shared.extent.rotate(seal, entry, segment::HEADER_BYTES);
        debug_assert!(self.active.free() >= span);
        Ok(())
    }

    /// Refuses the next frame for want of room, and all that was appended behind it: a record is durable only when every
    /// record below it is. Their numbers are not given again.
    pub(super) fn refuse<S: Storage<File = F>>(&mut self, shared: &Shared<S>, what: &str) {
        let full = LogError::Full { what: what.to_owned() };
        {
            let mut queue = lock(&shared.queue);
            self.batch.append(&mut queue.pending);
            for pending in &self.batch {
                queue.pinned_bytes = queue.pinned_bytes.saturating_sub(pending.pin_bytes);
                self.active.lsn = pending.end;
                queue.holes.push((pending.group.clone(), pending.tickets));
            }
            queue.waiting = Load::default();
            queue.refused = Some(full.clone());
        }
        if !self.is_hidden {
            shared.extent.publish(self.active.lsn, self.active.offset, None);
        }
        for pending in self.batch.drain(..) {
            pending.group.fail(full.clone());
        }
    }
}

fn next_length(length: u64, segment_bytes: u64) -> u64 {
    length.saturating_mul(GROWTH).min(segment_bytes)
}
