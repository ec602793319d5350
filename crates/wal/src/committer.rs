use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use standpipe_log::{File, FileExt, LogError, Storage};

use crate::{
    birth::{Active, Draft, Pins, Stillborn, length_for, restate_span},
    crowd::Crowd,
    extent::Seal,
    frame::{self, Stamp},
    lock::lock,
    planted::{self, Plant},
    queue::{Pending, Standing},
    record::Walk,
    scan::apply_pin,
    segment::{Header, Predecessor},
    settings::Durability,
    shared::Shared,
};

/// The log's thread: takes what was queued, writes it, syncs it, and tells those who wait. It holds no lock while it
/// writes or syncs.
pub(crate) struct Committer<S: Storage> {
    shared: Arc<Shared<S>>,
    active: Active<S::File>,
    /// The active segment gets nothing more: its successor may already say where it ends.
    is_sealed: bool,
    /// Every pin that was written, in the order of writing.
    pins: Pins,
    batch: VecDeque<Pending>,
    /// Written, not settled.
    written: Vec<Pending>,
    sync_due: Option<Instant>,
    is_proven: bool,
    crowd: Crowd,
}

enum Work {
    Batch,
    Sync,
    Prove,
    Close,
}

impl<S: Storage> Committer<S> {
    pub(crate) fn new(shared: Arc<Shared<S>>, active: Active<S::File>, is_sealed: bool, pins: Pins) -> Self {
        Committer {
            shared,
            active,
            is_sealed,
            pins,
            batch: VecDeque::new(),
            written: Vec::new(),
            sync_due: None,
            is_proven: true,
            crowd: Crowd::default(),
        }
    }

    /// Runs until the log is closed or fails. A panic, too, is a failure that everyone who waits hears of.
    pub(crate) fn run(mut self) {
        let cause: Arc<str> = match catch_unwind(AssertUnwindSafe(|| self.serve())) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string().into(),
            Err(panic) => format!("the log's thread panicked: {}", message(&*panic)).into(),
        };
        self.poison(LogError::Poisoned { cause });
    }

    fn serve(&mut self) -> Result<(), LogError> {
        loop {
            match self.next_work() {
                Work::Batch => self.write_batch()?,
                Work::Sync => self.sync()?,
                Work::Prove => self.prove(0)?,
                Work::Close => return self.finish(),
            }
        }
    }

    fn next_work(&mut self) -> Work {
        let shared = self.shared.clone();
        self.crowd.gather(&shared.arrived);
        let idle = shared.settings.idle_proof;
        let prove_at = idle.filter(|_| self.may_prove()).and_then(|idle| Instant::now().checked_add(idle));
        let wake_at = [self.sync_due, prove_at].into_iter().flatten().min();
        let mut queue = lock(&shared.queue);
        queue.space.active_free = if self.is_sealed { 0 } else { self.active.free() };
        loop {
            if !queue.pending.is_empty() {
                std::mem::swap(&mut queue.pending, &mut self.batch);
                self.crowd.taken(&shared.arrived);
                return Work::Batch;
            }
            if matches!(queue.standing, Standing::Closing) {
                return Work::Close;
            }
            queue.asleep = true;
            let left = wake_at.map(|at| at.saturating_duration_since(Instant::now()));
            queue = match left {
                None => shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    queue.asleep = false;
                    let due = self.sync_due.is_some_and(|due| Some(due) == wake_at);
                    return if due { Work::Sync } else { Work::Prove };
                }
                Some(left) => shared.work.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            queue.asleep = false;
        }
    }

    fn write_batch(&mut self) -> Result<(), LogError> {
        while let Some(next) = self.batch.front() {
            let span = next.span();
            if self.is_sealed || span > self.active.free() {
                // The frame stays in the batch meanwhile, so that a failure finds it.
                self.settle()?;
                match self.rotate(span) {
                    Ok(()) => {}
                    Err(Stillborn::Failed(error)) => return Err(error),
                    Err(Stillborn::Full(what)) => {
                        self.refuse(&what);
                        continue;
                    }
                }
            }
            if let Some(pending) = self.batch.pop_front() {
                self.written.push(pending);
                self.write_last()?;
            }
        }
        self.settle()
    }

    /// Writes the frame that was just moved to `written`.
    fn write_last(&mut self) -> Result<(), LogError> {
        let proven = if self.is_proof_planted_off() { 0 } else { self.active.synced };
        let Some(pending) = self.written.last_mut() else { return Ok(()) };
        if pending.pin_bytes > 0 {
            apply_pins(&mut self.pins, pending);
        }
        let stamp = Stamp {
            flags: 0,
            records: pending.records,
            base: pending.base,
            previous: self.active.chain,
            proven,
        };
        let chain = frame::seal(&mut pending.bytes, self.active.seed, stamp);
        let wrote = self.active.file.write_all_at(&pending.bytes, self.active.offset);
        wrote.map_err(|error| LogError::io("writing to the log", error))?;
        self.active.chain = chain;
        self.active.offset += pending.bytes.len() as u64;
        self.active.lsn = pending.end;
        self.is_proven = false;
        Ok(())
    }

    /// Makes what was written as durable as was promised, and says so.
    fn settle(&mut self) -> Result<(), LogError> {
        if self.written.is_empty() {
            return Ok(());
        }
        match self.shared.settings.durability {
            Durability::Group | Durability::Sync => self.sync()?,
            Durability::Os => {}
            Durability::Periodic(period) => {
                let now = Instant::now();
                match self.sync_due {
                    Some(due) if due <= now => self.sync()?,
                    Some(_) => {}
                    None => self.sync_due = now.checked_add(period),
                }
            }
        }
        self.publish();
        for pending in &self.written {
            pending.group.settle(Ok(()));
        }
        let mut queue = lock(&self.shared.queue);
        queue.space.active_free = self.active.free();
        for pending in self.written.drain(..) {
            queue.waiting_bytes = queue.waiting_bytes.saturating_sub(pending.cost);
            queue.reuse(pending);
        }
        Ok(())
    }

    fn publish(&self) {
        if self.written.iter().any(|pending| pending.pin_bytes > 0) {
            let held = pinned_bytes(&self.pins);
            *lock(&self.shared.pins) = self.pins.clone();
            let mut queue = lock(&self.shared.queue);
            let coming: usize =
                queue.pending.iter().chain(&self.batch).map(|pending| pending.pin_bytes).sum();
            queue.pinned_bytes = held + coming;
        }
        let first = self.written.iter().find_map(|pending| pending.first);
        self.shared.extent.publish(self.active.lsn, self.active.offset, first);
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.sync_due = None;
        if self.active.synced < self.active.offset {
            let began = Instant::now();
            self.active.file.sync_data().map_err(|error| LogError::io("syncing the log", error))?;
            self.crowd.synced(began.elapsed());
            self.active.synced = self.active.offset;
        }
        Ok(())
    }

    /// Makes the next segment, with room for a frame of this span, and goes on in it.
    fn rotate(&mut self, span: u64) -> Result<(), Stillborn> {
        // Before the successor says where this one ends, that must be on disk.
        self.sync().map_err(Stillborn::Failed)?;
        let settings = &self.shared.settings;
        let length = length_for(&self.pins, span, settings.segment_bytes);
        let taken = lock(&self.shared.queue).space.taken;
        if taken + length > settings.size_bytes_max {
            let cap = settings.size_bytes_max;
            return Err(Stillborn::Full(format!(
                "its files take {taken} of at most {cap} bytes, the next one needs {length}"
            )));
        }
        // From here on a successor may be on disk that says that this one ends here.
        self.is_sealed = true;
        let before = self.active.header;
        let seal = Seal { end: self.active.offset, end_lsn: self.active.lsn, chain: self.active.chain };
        let header = Header {
            sequence: before.sequence + 1,
            incarnation: settings.entropy.draw() as u64,
            base: seal.end_lsn,
            length,
            relaxed: settings.durability.is_relaxed(),
            predecessor: Some(Predecessor {
                sequence: before.sequence,
                incarnation: before.incarnation,
                end: seal.end,
                end_lsn: seal.end_lsn,
                chain: seal.chain,
            }),
            ..before
        };
        let storage = &self.shared.storage;
        self.active = Draft::create(storage, header, &self.pins)?.publish(storage)?;
        // A directory sync that failed for a truncation may have taken this segment's name with it, and ours then
        // says `Ok`.
        if let Some(why) = &*lock(&self.shared.truncation) {
            return Err(Stillborn::Failed(why.clone()));
        }
        self.is_sealed = false;
        self.shared.extent.rotate(seal, self.active.entry(), self.active.offset);
        lock(&self.shared.queue).space.taken += length;
        debug_assert!(self.active.free() >= span && restate_span(&self.pins) < length);
        Ok(())
    }

    /// Refuses the next frame for want of room. Its numbers are not given again.
    fn refuse(&mut self, what: &str) {
        let Some(pending) = self.batch.pop_front() else { return };
        self.active.lsn = pending.end;
        self.shared.extent.publish(pending.end, self.active.offset, None);
        {
            let mut queue = lock(&self.shared.queue);
            queue.waiting_bytes = queue.waiting_bytes.saturating_sub(pending.cost);
            queue.pinned_bytes = queue.pinned_bytes.saturating_sub(pending.pin_bytes);
        }
        pending.group.settle(Err(LogError::Full { what: what.to_owned() }));
    }

    fn may_prove(&self) -> bool {
        !self.is_proven && !self.is_sealed && self.active.synced == self.active.offset
    }

    /// Writes a frame that says that everything before it is durable. It needs no sync of its own.
    fn prove(&mut self, flags: u8) -> Result<(), LogError> {
        self.is_proven = true;
        if self.is_sealed || self.is_proof_planted_off() {
            return Ok(());
        }
        let mut bytes = vec![0; frame::HEADER_BYTES];
        let base = self.active.lsn;
        let (previous, proven) = (self.active.chain, self.active.synced);
        let stamp = Stamp { flags: frame::PROOF | flags, records: 0, base, previous, proven };
        let chain = frame::seal(&mut bytes, self.active.seed, stamp);
        // The room was kept back; an earlier proof may have used it.
        if self.active.offset + bytes.len() as u64 > self.active.header.length {
            return Ok(());
        }
        let wrote = self.active.file.write_all_at(&bytes, self.active.offset);
        wrote.map_err(|error| LogError::io("writing to the log", error))?;
        self.active.chain = chain;
        self.active.offset += bytes.len() as u64;
        Ok(())
    }

    fn is_proof_planted_off(&self) -> bool {
        planted::is(Plant::ProofFollowsSetting) && self.shared.settings.idle_proof.is_none()
    }

    fn finish(&mut self) -> Result<(), LogError> {
        self.sync()?;
        self.prove(frame::CLOSED)?;
        self.sync()?;
        lock(&self.shared.queue).standing = Standing::Closed;
        self.shared.extent.end(LogError::Closed);
        Ok(())
    }

    fn poison(&mut self, error: LogError) {
        let queued = {
            let mut queue = lock(&self.shared.queue);
            queue.standing = Standing::Poisoned(error.clone());
            std::mem::take(&mut queue.pending)
        };
        self.shared.extent.end(error.clone());
        for pending in self.written.drain(..).chain(self.batch.drain(..)).chain(queued) {
            // A waker that panics must not keep the others from hearing of it.
            let _ = catch_unwind(AssertUnwindSafe(|| pending.group.settle(Err(error.clone()))));
            if planted::is(Plant::ForgetsWaiters) {
                break;
            }
        }
    }
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

fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no message",
    }
}
