use std::ops::ControlFlow;

use standpipe_log::{LogError, Lsn, Storage};

use crate::{
    frame,
    inspect::{Damage, TailReport},
    plan::{Plan, Stop},
    record::Item,
    tour::{Halt, Left, Sound, Visit, tour},
};

/// How often a log that is truncated meanwhile is looked at anew without anything to show for it.
const TRIES_MAX: u32 = 8;

/// Which part of a log [`dump`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first record.
    pub from: Lsn,
    /// The last record.
    pub to: Lsn,
    /// How many records at most.
    pub limit: u64,
    /// Whether to go on past damage. Otherwise the first one is an error.
    pub skips_damage: bool,
}

impl Default for Part {
    /// All of a sound log.
    fn default() -> Self {
        Part { from: Lsn::FIRST, to: Lsn::new(u64::MAX), limit: u64::MAX, skips_damage: false }
    }
}

/// What is met on the way through a log, in its order.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Shown<'a> {
    /// A frame begins; what it holds comes next.
    Frame(FrameReport<'a>),
    /// A record.
    Record {
        /// Its number.
        lsn: Lsn,
        /// The caller's bytes.
        payload: &'a [u8],
    },
    /// A key was pinned.
    Pin {
        /// The number of the record that comes next.
        lsn: Lsn,
        /// The key.
        key: &'a [u8],
        /// Its value; empty: the key was removed.
        value: &'a [u8],
        /// Whether the segment only says again what was pinned before.
        is_restated: bool,
    },
    /// Numbers that no record has, or whose records are lost.
    Gap {
        /// The first one.
        from: Lsn,
        /// The number after the last one.
        to: Lsn,
    },
    /// Something that is not what was written, met with [`Part::skips_damage`].
    Damage(&'a Damage),
}

/// The fields of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameReport<'a> {
    /// The file that it is in.
    pub segment: &'a str,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// Bytes from there to the next frame.
    pub bytes: u64,
    /// Bytes of the payload as it is stored.
    pub payload_bytes: u64,
    /// Records of every kind.
    pub records: u32,
    /// The number of its first record.
    pub base: Lsn,
    /// The payload's codec.
    pub codec: u8,
    /// The flags, as they are stored.
    pub flags: u8,
    /// The checksum.
    pub checksum: u32,
    /// The offset below which all was known durable.
    pub proven: u64,
}

/// What [`dump`] came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dumped {
    /// Records shown.
    pub records: u64,
    /// How the log ends; `None` where it was not read so far.
    pub tail: Option<TailReport>,
}

/// Shows records in the order of their numbers, with the pins and gaps between them, to `show`, until that breaks. Reads one frame
/// at a time, changes nothing, takes no lock, and works beside a log that is open; sealed segments below the part are not
/// read. Blocks.
///
/// # Errors
/// [`LogError::Corrupt`] at the first damage, after everything before it was shown, unless [`Part::skips_damage`] is set; else as
/// [`inspect`](crate::inspect()).
pub fn dump<S: Storage>(
    storage: &S,
    part: Part,
    show: &mut dyn FnMut(Shown<'_>) -> ControlFlow<()>,
) -> Result<Dumped, LogError> {
    let mut dump = Dump { part, show, dumped: Dumped::default(), next: None };
    let mut tries = 0;
    loop {
        let plan = Plan::make(storage)?;
        let before = dump.next;
        match tour(storage, &plan, &mut dump) {
            Ok(()) | Err(Halt::Enough) => return Ok(dump.dumped),
            Err(Halt::Failed(error)) => return Err(error),
            Err(Halt::Moved) if tries < TRIES_MAX => {
                tries = if dump.next == before { tries + 1 } else { 0 };
                // What was shown is not shown again.
                dump.part.from = dump.part.from.max(dump.next.unwrap_or(Lsn::FIRST));
            }
            Err(Halt::Moved) => {
                let place = storage.describe();
                let what = format!("the log in {place} is truncated faster than it can be read; try again");
                return Err(LogError::Invalid(what));
            }
        }
    }
}

struct Dump<'a> {
    part: Part,
    show: &'a mut dyn FnMut(Shown<'_>) -> ControlFlow<()>,
    dumped: Dumped,
    /// The number after the last one that was shown or passed.
    next: Option<Lsn>,
}

impl Dump<'_> {
    fn show(&mut self, shown: Shown<'_>) -> Result<(), Halt> {
        if (self.show)(shown).is_break() { Err(Halt::Enough) } else { Ok(()) }
    }

    /// Shows the numbers between the last one and this one.
    fn come_to(&mut self, lsn: Lsn) -> Result<(), Halt> {
        let from = self.next.unwrap_or(lsn).max(self.part.from);
        self.next = Some(lsn);
        let to = lsn.min(self.part.to.checked_add(1).unwrap_or(self.part.to));
        if from < to { self.show(Shown::Gap { from, to }) } else { Ok(()) }
    }

    fn item(&mut self, item: &Item, payload: &[u8], is_restated: bool) -> Result<(), Halt> {
        match item {
            Item::Data { lsn, bytes } => {
                self.come_to(*lsn)?;
                if *lsn > self.part.to || self.dumped.records >= self.part.limit {
                    return Err(Halt::Enough);
                }
                self.next = Some(lsn.checked_add(1).unwrap_or(*lsn));
                if *lsn >= self.part.from {
                    self.show(Shown::Record { lsn: *lsn, payload: &payload[bytes.clone()] })?;
                    self.dumped.records += 1;
                    if self.dumped.records >= self.part.limit || *lsn == self.part.to {
                        return Err(Halt::Enough);
                    }
                }
                Ok(())
            }
            Item::Pin { key, value } => {
                let lsn = self.next.unwrap_or(Lsn::FIRST);
                if lsn < self.part.from {
                    return Ok(());
                }
                let (key, value) = (&payload[key.clone()], &payload[value.clone()]);
                self.show(Shown::Pin { lsn, key, value, is_restated })
            }
            // The gap is shown when it is known how far it goes.
            _ => Ok(()),
        }
    }
}

impl Visit for Dump<'_> {
    fn wants(&self, stop: &Stop) -> bool {
        // A segment without a record may have pins, which belong to the whole log.
        self.part.from <= Lsn::FIRST || stop.seal.is_none_or(|seal| seal.end_lsn > self.part.from)
    }

    fn enter(&mut self, stop: &Stop) -> Result<(), Halt> {
        if self.dumped.records >= self.part.limit {
            return Err(Halt::Enough);
        }
        self.next = self.next.or(stop.base());
        Ok(())
    }

    fn frame(&mut self, sound: &Sound<'_>) -> Result<(), Halt> {
        let (frame, cursor) = (sound.frame, sound.cursor);
        if frame.base > self.part.to {
            self.come_to(frame.base)?;
            return Err(Halt::Enough);
        }
        // A frame that ends below is passed; one without numbers of its own is shown with those around it.
        if cursor.lsn < self.part.from || (cursor.lsn == self.part.from && frame.base < cursor.lsn) {
            self.next = Some(cursor.lsn);
            return Ok(());
        }
        self.show(Shown::Frame(FrameReport {
            segment: &sound.stop.name,
            offset: sound.offset,
            bytes: cursor.offset - sound.offset,
            payload_bytes: u64::from(frame.payload_bytes),
            records: frame.records,
            base: frame.base,
            codec: frame.codec,
            flags: frame.flags,
            checksum: frame.checksum,
            proven: frame.proven,
        }))?;
        let is_restated = frame.flags & frame::RESTATES != 0;
        let payload = cursor.payload();
        for item in cursor.items(frame) {
            self.item(&item, payload, is_restated)?;
        }
        Ok(())
    }

    fn damage(&mut self, damage: Damage) -> Result<(), Halt> {
        // What lies below the part was not asked for.
        if damage.lost.is_some_and(|lost| lost.to.is_some_and(|to| to <= self.part.from)) {
            return Ok(());
        }
        if self.part.skips_damage {
            return self.show(Shown::Damage(&damage));
        }
        let Damage { segment, offset, lsn, what, .. } = damage;
        Err(Halt::Failed(LogError::Corrupt { segment, offset, lsn, what }))
    }

    fn leave(&mut self, stop: &Stop, left: &Left) -> Result<(), Halt> {
        if stop.header.is_some() {
            self.come_to(left.lsn)?;
        }
        self.dumped.tail = left.tail;
        Ok(())
    }
}
