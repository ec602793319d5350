use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use standpipe_log::{LogError, Lsn};

use crate::{
    frame,
    group::{Group, Lead},
    meter::Since,
    record::{self, Kind},
    segment::PAGE_BYTES,
    settings::Durability,
    space::{Load, Space},
};

/// The most that all pins together may take, in bytes: every segment begins with them.
pub(crate) const PINNED_BYTES_MAX: usize = 16 << 20;
/// Buffers above this size are given back to the allocator.
const KEPT_BYTES_MAX: usize = 4 << 20;
const SPARES_MAX: usize = 4;

/// A frame in the making: records in the order of their numbers, behind room for the frame's header.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: u32,
    pub(crate) base: Lsn,
    /// The number after the last record.
    pub(crate) end: Lsn,
    /// The first record of the caller's.
    pub(crate) first: Option<Lsn>,
    pub(crate) pin_bytes: usize,
    /// What was counted for it in [`Queue::waiting`].
    pub(crate) cost: u64,
    /// What its tickets wait for.
    pub(crate) needs: Needs,
    pub(crate) since: Since,
    pub(crate) group: Arc<Group>,
    /// How many were handed out for it.
    pub(crate) tickets: u32,
}

/// What those who wait for a frame were promised.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    /// Some are content when it is written.
    pub(crate) write: bool,
    /// Some wait for a sync.
    pub(crate) sync: bool,
    /// For a sync now, with nobody else.
    pub(crate) haste: bool,
    /// Written, it is to be synced within this time.
    pub(crate) sync_after: Option<Duration>,
}

impl Needs {
    fn add(&mut self, durability: Durability, own: Durability) {
        self.write |= durability.is_relaxed();
        self.sync |= !durability.is_relaxed();
        self.haste |= durability == Durability::Sync;
        let after = durability.sync_after(own);
        self.sync_after = [self.sync_after, after].into_iter().flatten().min();
    }
}

impl Pending {
    /// What one more ticket waits for.
    fn ticket(&mut self) -> Arc<Group> {
        self.tickets += 1;
        self.group.clone()
    }

    pub(crate) fn span(&self) -> u64 {
        frame::span(self.bytes.len() - frame::HEADER_BYTES)
    }
}

/// Whether a log takes records.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    Open,
    Closing,
    Closed,
    Poisoned(LogError),
}

/// How the log's thread waits for something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It works.
    Awake,
    /// It looks again by itself soon; whoever demands something wakes it.
    Dozing,
    /// Whoever appends wakes it.
    Asleep,
}

/// What was appended and not yet written. Everything here happens under one short lock, so that the order of numbers
/// is the order of bytes.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) standing: Standing,
    pub(crate) space: Space,
    /// What is queued or being written.
    pub(crate) waiting: Load,
    /// The durable pins and those on their way.
    pub(crate) pinned_bytes: usize,
    /// Someone waits who cannot write for himself.
    pub(crate) is_demanded: bool,
    /// How the log's thread waits.
    pub(crate) rest: Rest,
    /// When what was written is to be synced at the latest.
    pub(crate) sync_due: Option<Instant>,
    /// Something that was appended was refused when it was to be written, and no `sync` has said so yet.
    pub(crate) refused: Option<LogError>,
    /// Whose tickets say that they were refused so, and how many there are. While one is held, nothing is taken behind it.
    pub(crate) holes: Vec<(Arc<Group>, u32)>,
    own: Durability,
    lead: Weak<dyn Lead>,
    next: Lsn,
    frame_bytes_soft: usize,
    /// What frames were made in: their bytes, and their groups.
    spares: Vec<(Vec<u8>, Option<Arc<Group>>)>,
}

impl Queue {
    pub(crate) fn new(
        next: Lsn,
        space: Space,
        frame_bytes_soft: usize,
        pinned_bytes: usize,
        own: Durability,
        lead: Weak<dyn Lead>,
    ) -> Self {
        Queue {
            pending: VecDeque::new(),
            standing: Standing::Open,
            space,
            waiting: Load::default(),
            pinned_bytes,
            is_demanded: false,
            rest: Rest::Awake,
            sync_due: None,
            refused: None,
            holes: Vec::new(),
            own,
            lead,
            next,
            frame_bytes_soft,
            spares: Vec::new(),
        }
    }

    /// The number that the next record gets.
    pub(crate) fn next(&self) -> Lsn {
        self.next
    }

    /// Lays records behind each other in one frame; `sizes` is the sum of their bytes, headers included. Returns the
    /// group to wait for and the last one's number.
    pub(crate) fn append<'a>(
        &mut self,
        records: impl ExactSizeIterator<Item = &'a [&'a [u8]]>,
        laid: usize,
        durability: Durability,
    ) -> Result<(Arc<Group>, Lsn), LogError> {
        let count = records.len() as u64;
        let (first, end) = (self.next, self.after(count)?);
        let pending = self.room(laid, durability, self.pinned_bytes)?;
        for parts in records {
            record::lay(&mut pending.bytes, Kind::Data, parts);
        }
        pending.records += u32::try_from(count).unwrap_or(u32::MAX);
        pending.first.get_or_insert(first);
        pending.end = end;
        let group = pending.ticket();
        self.next = end;
        Ok((group, Lsn::new(end.number() - 1)))
    }

    pub(crate) fn pin(&mut self, key: &[u8], value: &[u8]) -> Result<(Arc<Group>, Lsn), LogError> {
        let laid = record::pin_bytes(key, value);
        if !value.is_empty() && self.pinned_bytes + laid > PINNED_BYTES_MAX {
            let held = self.pinned_bytes;
            let what = format!("pins may take {PINNED_BYTES_MAX} bytes together, {held} are taken");
            return Err(LogError::Full { what });
        }
        let pending = self.room(laid, self.own, self.pinned_bytes + laid)?;
        record::lay_pin(&mut pending.bytes, key, value);
        pending.records += 1;
        pending.pin_bytes += laid;
        let group = pending.ticket();
        self.pinned_bytes += laid;
        Ok((group, self.next))
    }

    /// Moves the next number up; `None` when it is there already.
    pub(crate) fn advance(&mut self, to: Lsn) -> Result<Option<Arc<Group>>, LogError> {
        self.check()?;
        if to <= self.next {
            return Ok(None);
        }
        let pending = self.room(record::HEADER_BYTES + 8, self.own, self.pinned_bytes)?;
        record::lay(&mut pending.bytes, Kind::Advance, &[&to.number().to_le_bytes()]);
        pending.records += 1;
        pending.end = to;
        let group = pending.ticket();
        self.next = to;
        Ok(Some(group))
    }

    /// Takes back what a frame was made in.
    pub(crate) fn reuse(&mut self, done: Pending) {
        if self.spares.len() < SPARES_MAX {
            let bytes = if done.bytes.capacity() > KEPT_BYTES_MAX { Vec::new() } else { done.bytes };
            self.spares.push((bytes, Some(done.group)));
        }
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        match &self.standing {
            Standing::Open => Ok(()),
            Standing::Closing | Standing::Closed => Err(LogError::Closed),
            Standing::Poisoned(error) => Err(error.clone()),
        }
    }

    fn after(&self, count: u64) -> Result<Lsn, LogError> {
        let full = || LogError::Full { what: "the number space is used up".to_owned() };
        self.next.checked_add(count).ok_or_else(full)
    }

    /// The frame that takes `laid` more bytes: the last one, or a new one. `pinned_bytes` are all pins with it.
    fn room(
        &mut self,
        laid: usize,
        durability: Durability,
        pinned_bytes: usize,
    ) -> Result<&mut Pending, LogError> {
        self.check()?;
        self.check_holes()?;
        let own = self.own;
        let soft = self.frame_bytes_soft;
        let joins = self.pending.back().is_some_and(|last| last.bytes.len() + laid <= soft);
        let more = laid as u64 + if joins { 0 } else { frame::HEADER_BYTES as u64 + PAGE_BYTES };
        let load = match self.pending.back().filter(|_| joins) {
            Some(last) => self.waiting.with_more(more, last.cost + more),
            None => self.waiting.with_frame(more),
        };
        if !self.space.holds(load, pinned_bytes) {
            let (taken, cap, waiting) = (self.space.taken, self.space.cap, self.waiting.bytes);
            let what = format!("its files take {taken} of at most {cap} bytes, {waiting} wait to be written");
            return Err(LogError::Full { what });
        }
        self.waiting = load;
        if !joins {
            let fresh = self.blank();
            self.pending.push_back(fresh);
        }
        let last = self.pending.back_mut().ok_or(LogError::Closed)?;
        last.cost += more;
        last.needs.add(durability, own);
        Ok(last)
    }

    /// Whoever appends without waiting would otherwise have a later record kept and an earlier one not.
    fn check_holes(&mut self) -> Result<(), LogError> {
        self.holes.retain(|(group, tickets)| group.disappointed() < *tickets);
        if self.holes.is_empty() {
            return Ok(());
        }
        let what =
            "what was appended before found no room, and a ticket that says so is still held".to_owned();
        Err(LogError::Full { what })
    }

    fn blank(&mut self) -> Pending {
        let (mut bytes, mut group) = self.spares.pop().unwrap_or_default();
        let next = self.next;
        bytes.clear();
        bytes.resize(frame::HEADER_BYTES, 0);
        let group = match group.as_mut().and_then(Arc::get_mut) {
            Some(renewed) => {
                renewed.renew();
                group
            }
            // There is none, or someone still holds a ticket of it.
            None => None,
        };
        Pending {
            bytes,
            records: 0,
            base: next,
            end: next,
            first: None,
            pin_bytes: 0,
            cost: 0,
            needs: Needs::default(),
            since: Since::now(),
            tickets: 0,
            group: group.unwrap_or_else(|| Arc::new(Group::new(self.lead.clone()))),
        }
    }
}
