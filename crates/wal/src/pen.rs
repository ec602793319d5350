use std::{collections::VecDeque, time::Instant};

use standpipe_log::{File, FileExt, LogError, Lsn, Storage};

use crate::{
    birth::{Active, Pins, Stillborn},
    compress::Compressor,
    crowd::Crowd,
    frame::{self, Stamp},
    group::Stage,
    lock::lock,
    meter,
    planted::{self, Plant},
    queue::{Pending, Standing},
    record::Walk,
    scan::apply_pin,
    segment::PAGE_BYTES,
    shared::Shared,
    space::Load,
};

mod next;

/// What is compressed in a larger buffer gives it back.
const COMPRESSED_KEPT_BYTES: usize = 4 << 20;

/// The right to write to the log, and all that goes with it. Whoever holds it takes what was queued, writes it, syncs
/// it, and tells those who wait. It holds no other lock while it writes or syncs.
#[derive(Debug)]
pub(crate) struct Pen<F> {
    active: Active<F>,
    /// The active segment is one of an earlier life, to which nothing may be added.
    is_sealed: bool,
    /// Every pin that was written, in the order of writing.
    pins: Pins,
    batch: VecDeque<Pending>,
    /// Written, not settled.
    written: Vec<Pending>,
    /// Something was written that readers were not shown.
    is_hidden: bool,
    /// The first record of the caller's that readers were not shown yet.
    first: Option<Lsn>,
    has_new_pins: bool,
    is_proven: bool,
    notice: Notice,
    is_ordered: bool,
    /// Everything below is on disk.
    synced: Lsn,
    /// Syncs of this segment.
    groups: u64,
    /// What is below, in this segment, the system was asked to write out.
    written_out: u64,
    compressor: Compressor,
    crowd: Crowd,
}

/// Whether it is on disk that records may be acknowledged before they are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    Needless,
    Due,
    Written,
    Durable,
}

impl<F: File> Pen<F> {
    pub(crate) fn new(active: Active<F>, is_sealed: bool, pins: Pins) -> Self {
        Pen {
            active,
            is_sealed,
            pins,
            batch: VecDeque::new(),
            written: Vec::new(),
            is_hidden: false,
            first: None,
            has_new_pins: false,
            is_proven: true,
            notice: Notice::Needless,
            is_ordered: false,
            synced: Lsn::FIRST,
            groups: 0,
            written_out: 0,
            compressor: Compressor::default(),
            crowd: Crowd::default(),
        }
    }

    /// What is free for frames in the segment that is being written.
    pub(crate) fn free(&self) -> u64 {
        if self.is_sealed { 0 } else { self.active.free() }
    }

    /// Everything below was synced.
    pub(crate) fn synced(&self) -> Lsn {
        self.synced
    }

    /// Writes what is queued and makes it as durable as was promised; whether there was anything.
    pub(crate) fn round<S: Storage<File = F>>(&mut self, shared: &Shared<S>) -> Result<bool, LogError> {
        let mut queue = lock(&shared.queue);
        let (mut syncs, mut hastes) = (false, false);
        for pending in &queue.pending {
            syncs |= pending.needs.sync;
            hastes |= pending.needs.haste;
        }
        if syncs && !hastes {
            drop(queue);
            self.crowd.gather(&shared.arrived, shared.settings.group_delay);
            queue = lock(&shared.queue);
        }
        if queue.pending.is_empty() || !matches!(queue.standing, Standing::Open | Standing::Closing) {
            return Ok(false);
        }
        std::mem::swap(&mut queue.pending, &mut self.batch);
        self.crowd.taken(&shared.arrived);
        drop(queue);
        self.write_batch(shared)?;
        Ok(true)
    }

    fn write_batch<S: Storage<File = F>>(&mut self, shared: &Shared<S>) -> Result<(), LogError> {
        if self.notice != Notice::Durable && !shared.settings.durability.is_relaxed() {
            self.announce();
        }
        let syncs = self.batch.iter().any(|pending| pending.needs.sync);
        while let Some(next) = self.batch.front() {
            let span = next.span();
            if span > self.free() {
                // The frame stays in the batch meanwhile, so that a failure finds it.
                self.settle(shared)?;
                match self.rotate(shared, span) {
                    Ok(()) => {}
                    Err(Stillborn::Failed(error)) => return Err(error),
                    Err(Stillborn::Full(what)) => {
                        self.refuse(shared, &what);
                        continue;
                    }
                }
            }
            if let Some(pending) = self.batch.pop_front() {
                self.written.push(pending);
                self.write_last(shared, span, syncs)?;
            }
        }
        self.settle(shared)
    }

    /// Before the first time that someone is told of a record that is not synced, it is on disk that this may happen: that
    /// first record waits for the sync that says so.
    fn announce(&mut self) {
        for pending in self.batch.iter_mut().filter(|pending| pending.needs.write) {
            self.active.flags |= frame::TELLS_EARLY;
            self.notice = Notice::Due;
            (pending.needs.write, pending.needs.sync) = (false, true);
        }
    }

    /// Writes the frame that was just moved to `written`.
    fn write_last<S: Storage<File = F>>(
        &mut self,
        shared: &Shared<S>,
        span: u64,
        syncs: bool,
    ) -> Result<(), LogError> {
        // The last before a sync fills its page. What follows in this segment goes on right behind.
        let room = self.active.free() - span;
        let is_last = self.batch.front().is_none_or(|next| next.span() > room);
        let flags = if syncs && is_last { frame::GROUP_END } else { 0 };
        let Some(pending) = self.written.last_mut() else { return Ok(()) };
        if pending.pin_bytes > 0 {
            apply_pins(&mut self.pins, pending);
            self.has_new_pins = true;
        }
        self.first = self.first.or(pending.first);
        let (records, base, end) = (pending.records, pending.base, pending.end);
        let mut stamp = self.active.stamp(flags, records, base);
        if is_proof_planted_off(shared) {
            stamp.proven = 0;
        }
        let payload = pending.bytes.len() - frame::HEADER_BYTES;
        let mut stored = payload;
        match self.compressor.compress(&pending.bytes, shared.settings.compression) {
            Some(smaller) => {
                let stamp = Stamp { codec: frame::CODEC_LZ4, ..stamp };
                stored = smaller.len() - frame::HEADER_BYTES;
                self.active.write(smaller, stamp)?;
                self.compressor.shrink(COMPRESSED_KEPT_BYTES);
            }
            None => self.active.write(&mut pending.bytes, stamp)?,
        }
        meter::compressed(payload, stored);
        if self.notice == Notice::Due {
            self.notice = Notice::Written;
        }
        self.active.lsn = end;
        self.is_proven = false;
        self.is_hidden = true;
        Ok(())
    }

    /// Makes what was written as durable as was promised, and says so.
    fn settle<S: Storage<File = F>>(&mut self, shared: &Shared<S>) -> Result<(), LogError> {
        if self.written.is_empty() {
            return Ok(());
        }
        if shared.settings.durability.is_relaxed() {
            // Readers must not be behind those who are told.
            self.show(shared);
        }
        let (mut syncs, mut sync_after) = (false, None);
        for pending in &self.written {
            syncs |= pending.needs.sync;
            sync_after = [sync_after, pending.needs.sync_after].into_iter().flatten().min();
            if pending.needs.write {
                pending.group.reach(Stage::Written);
            }
        }
        if syncs {
            self.sync(shared)?;
        } else if let Some(due) = sync_after.and_then(|after| Instant::now().checked_add(after)) {
            let mut queue = lock(&shared.queue);
            if queue.sync_due.is_none() {
                queue.sync_due = Some(due);
                // It may have meant to sleep for longer.
                shared.work.notify_all();
            }
        }
        for pending in &self.written {
            if pending.needs.sync {
                pending.group.reach(Stage::Synced);
            }
            meter::settled(pending.since);
        }
        let mut queue = lock(&shared.queue);
        queue.space.active_free = self.free();
        for pending in self.written.drain(..) {
            queue.reuse(pending);
        }
        queue.waiting = Load::of(self.batch.iter().chain(&queue.pending));
        drop(queue);
        self.order(shared)
    }

    fn show<S: Storage<File = F>>(&mut self, shared: &Shared<S>) {
        if std::mem::take(&mut self.has_new_pins) {
            let held = pinned_bytes(&self.pins);
            *lock(&shared.pins) = self.pins.clone();
            let mut queue = lock(&shared.queue);
            let coming: usize =
                queue.pending.iter().chain(&self.batch).map(|pending| pending.pin_bytes).sum();
            queue.pinned_bytes = held + coming;
        }
        self.is_hidden = false;
        shared.extent.publish(self.active.lsn, self.active.offset, self.first.take());
    }

    /// Makes everything that was written durable.
    pub(crate) fn sync<S: Storage<File = F>>(&mut self, shared: &Shared<S>) -> Result<(), LogError> {
        lock(&shared.queue).sync_due = None;
        if self.active.synced == self.active.offset {
            self.synced = self.active.lsn;
            return Ok(());
        }
        if !self.active.offset.is_multiple_of(PAGE_BYTES) {
            // What is durable is never written to again.
            self.active.end_page()?;
        }
        let began = Instant::now();
        self.active.file.sync_data().map_err(|error| LogError::io("syncing the log", error))?;
        let took = began.elapsed();
        self.crowd.synced(took);
        meter::synced(took, self.written.iter().map(|pending| u64::from(pending.records)).sum());
        self.active.synced = self.active.offset;
        self.synced = self.active.lsn;
        if self.notice == Notice::Written {
            self.notice = Notice::Durable;
        }
        self.groups += 1;
        if self.is_hidden {
            self.show(shared);
        }
        Ok(())
    }

    /// Whether a proof would say anything new.
    pub(crate) fn may_prove(&self) -> bool {
        !self.is_proven && !self.is_sealed && self.active.synced == self.active.offset
    }

    /// Writes a frame that says that everything before it is durable. It needs no sync of its own.
    pub(crate) fn prove<S: Storage<File = F>>(
        &mut self,
        shared: &Shared<S>,
        flags: u8,
    ) -> Result<(), LogError> {
        {
            let mut queue = lock(&shared.queue);
            if queue.waiting.frames > 0 {
                // What came meanwhile was let in for the room that there was. It will say so.
                return Ok(());
            }
            queue.space.active_free = self.free().saturating_sub(PAGE_BYTES);
        }
        self.is_proven = true;
        if is_proof_planted_off(shared) {
            return Ok(());
        }
        // The room was kept back; an earlier proof may have used it.
        if self.is_sealed || self.active.offset + PAGE_BYTES > self.active.header.length {
            return Ok(());
        }
        self.active.mark(flags)?;
        lock(&shared.queue).space.active_free = self.free();
        Ok(())
    }

    /// Makes everything durable and says that nothing follows.
    pub(crate) fn finish<S: Storage<File = F>>(&mut self, shared: &Shared<S>) -> Result<(), LogError> {
        self.sync(shared)?;
        self.prove(shared, frame::CLOSED)?;
        self.sync(shared)?;
        lock(&shared.queue).standing = Standing::Closed;
        shared.extent.end(LogError::Closed);
        Ok(())
    }

    pub(crate) fn poison<S: Storage<File = F>>(&mut self, shared: &Shared<S>, error: LogError) {
        let queued = {
            let mut queue = lock(&shared.queue);
            queue.standing = Standing::Poisoned(error.clone());
            std::mem::take(&mut queue.pending)
        };
        shared.extent.end(error.clone());
        for pending in self.written.drain(..).chain(self.batch.drain(..)).chain(queued) {
            pending.group.fail(error.clone());
            if planted::is(Plant::ForgetsWaiters) {
                break;
            }
        }
    }
}

impl<F: File> Active<F> {
    fn stamp(&self, flags: u8, records: u32, base: Lsn) -> Stamp {
        let (codec, flags) = (frame::CODEC_RAW, self.flags | flags);
        Stamp { codec, flags, records, base, previous: self.chain, proven: self.synced }
    }

    /// Seals a frame and writes it behind the last one.
    fn write(&mut self, bytes: &mut Vec<u8>, stamp: Stamp) -> Result<(), LogError> {
        let chain = frame::seal(bytes, self.seed, stamp, self.offset);
        let wrote = self.file.write_all_at(bytes, self.offset);
        wrote.map_err(|error| LogError::io("writing to the log", error))?;
        meter::written(bytes.len());
        self.chain = chain;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Writes a frame without records, up to the end of its page.
    fn mark(&mut self, flags: u8) -> Result<(), LogError> {
        let stamp = self.stamp(frame::PROOF | frame::GROUP_END | flags, 0, self.lsn);
        self.write(&mut vec![0; frame::HEADER_BYTES], stamp)
    }

    fn end_page(&mut self) -> Result<(), LogError> {
        self.mark(0)
    }
}

fn is_proof_planted_off<S: Storage>(shared: &Shared<S>) -> bool {
    planted::is(Plant::ProofFollowsSetting) && shared.settings.idle_proof.is_none()
}

fn pinned_bytes(pins: &Pins) -> usize {
    pins.iter().map(|(key, value)| crate::record::pin_bytes(key, value)).sum()
}

/// Takes over the pins of a frame that is not sealed yet.
fn apply_pins(pins: &mut Pins, pending: &Pending) {
    let payload = &pending.bytes[frame::HEADER_BYTES..];
    let mut walk = Walk::new(pending.records, pending.base);
    while let Some(Ok(item)) = walk.next(payload) {
        apply_pin(pins, payload, &item);
    }
}
