use std::io;

use standpipe_log::{LogError, LogId, Lsn, Storage};

use crate::{
    cursor::Fault,
    recovery::{Tail, judge_tail},
    scan::{Found, Scan, links, scan, survey, take_ready},
    seal::Seal,
    segment::{Header, HeaderFault},
};

/// How often a log that is truncated meanwhile is looked at anew.
const TRIES_MAX: u32 = 8;

/// What is in a log's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The log's identity; `None` when no segment can say it.
    pub id: Option<LogId>,
    /// The segments, oldest first.
    pub segments: Vec<SegmentReport>,
    /// Keys pinned at the end.
    pub pins: u64,
    /// The first record's number; `None` when there is no record.
    pub start: Option<Lsn>,
    /// The number after the last sound record.
    pub end: Option<Lsn>,
    /// What was damaged, oldest first. Empty for a sound log.
    pub damage: Vec<Damage>,
    /// What lies behind the last sound frame.
    pub tail: TailReport,
    /// What [`inspect`] takes time for: bytes of frames whose checksums were checked.
    pub checked_bytes: u64,
}

/// What is in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentReport {
    /// The file.
    pub name: String,
    /// Its number.
    pub sequence: u64,
    /// Its format version.
    pub version: u32,
    /// The number of its first record, or of the one that would be.
    pub base: Lsn,
    /// The number after its last sound record.
    pub end: Lsn,
    /// Sound frames.
    pub frames: u64,
    /// Records in them, pins and marks included.
    pub records: u64,
    /// Bytes of the header and the sound frames.
    pub used_bytes: u64,
    /// Bytes reserved for it.
    pub allocated_bytes: u64,
    /// The offset below which the segment proves itself durable.
    pub proven_bytes: u64,
    /// Whether a later segment says where this one ends.
    pub is_sealed: bool,
}

/// Something that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub segment: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// The record that should be there.
    pub lsn: Lsn,
    /// What was found.
    pub what: String,
}

/// What lies behind the last sound frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TailReport {
    /// Nothing: the log was closed.
    Closed,
    /// Nothing; the log was not closed, or is open.
    #[default]
    Open,
    /// An unfinished write at this offset: a crash, or a log that is being written this moment. Opening cuts it.
    Torn(u64),
}

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Everything that was seen.
    pub inspection: Inspection,
}

impl Verification {
    /// Whether every durable record is as it was written.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.inspection.damage.is_empty()
    }
}

/// Describes the log in a storage. Reads everything, changes nothing, takes no lock; works beside a log that is open
/// (what it sees is then a moment's picture). Damage is described, not an error. Blocks.
///
/// # Errors
/// [`LogError::Io`]; [`LogError::Unsupported`] where a segment is of a later version.
pub fn inspect<S: Storage>(storage: &S) -> Result<Inspection, LogError> {
    let mut tries = 0;
    loop {
        match look(storage) {
            // A segment was truncated away after it was listed: take another picture.
            Err(LogError::Io { error, .. })
                if error.kind() == io::ErrorKind::NotFound && tries < TRIES_MAX =>
            {
                tries += 1;
            }
            other => return other,
        }
    }
}

fn look<S: Storage>(storage: &S) -> Result<Inspection, LogError> {
    let mut found = survey(storage)?;
    let ready = take_ready(&mut found);
    let links = links(&found);
    let mut out = Inspection::default();
    for (at, (segment, link)) in found.iter().zip(&links).enumerate() {
        if let Err(fault) = link {
            match fault {
                HeaderFault::Unsupported(_) => return Err(segment.damage(fault.clone())),
                HeaderFault::Damaged(what) => {
                    out.damage.push(damage(segment, 0, segment.base(), what));
                }
            }
        }
        if let Ok(header) = &segment.header {
            let next = found.get(at + 1).filter(|next| {
                next.header.as_ref().is_ok_and(|next| next.predecessor == Some(header.named()))
            });
            let seal = next.and_then(Found::link);
            out.take(storage, segment, header, seal, at + 1 == found.len())?;
        }
    }
    if let Some(ready) = ready.filter(|_| out.tail != TailReport::Closed) {
        match ready.check_ready(storage) {
            Err(LogError::Corrupt { segment, offset, lsn, what }) => {
                out.damage.push(Damage { segment, offset, lsn, what });
            }
            other => other?,
        }
    }
    Ok(out)
}

/// Checks every checksum of the log in a storage. As [`inspect`] in all else.
///
/// # Errors
/// As [`inspect`].
pub fn verify<S: Storage>(storage: &S) -> Result<Verification, LogError> {
    inspect(storage).map(|inspection| Verification { inspection })
}

impl Inspection {
    fn take<S: Storage>(
        &mut self,
        storage: &S,
        segment: &Found,
        header: &Header,
        named: Option<Seal>,
        is_last: bool,
    ) -> Result<(), LogError> {
        let limit = named.map_or(segment.limit(header), |named| named.end);
        let file = segment.open(storage)?;
        let scan = scan(&file, header, limit).map_err(|error| segment.unreadable(error))?;
        self.id = Some(LogId(header.log));
        self.start = self.start.or(scan.first);
        self.end = Some(scan.cursor.lsn);
        self.pins = scan.pins.len() as u64;
        self.checked_bytes += scan.cursor.offset;
        self.judge(segment, &scan, named.map(|named| (named.end, named.chain)), is_last)?;
        self.segments.push(SegmentReport {
            name: segment.name.clone(),
            sequence: segment.sequence,
            version: header.version,
            base: segment.base(),
            end: scan.cursor.lsn,
            frames: scan.frames,
            records: scan.records,
            used_bytes: scan.cursor.offset,
            allocated_bytes: segment.file_bytes,
            proven_bytes: named.map_or(scan.proven, |named| named.end),
            is_sealed: named.is_some(),
        });
        Ok(())
    }

    fn judge(
        &mut self,
        segment: &Found,
        scan: &Scan,
        sealed: Option<(u64, u32)>,
        is_last: bool,
    ) -> Result<(), LogError> {
        let (at, lsn) = (scan.cursor.offset, scan.cursor.lsn);
        let what = scan.facts.fault.map_or("the segment ends too early", Fault::what);
        if scan.facts.fault == Some(Fault::Unknown) {
            return Err(segment.unknown_frame(scan));
        }
        if let Some((end, chain)) = sealed {
            if at != end {
                self.damage.push(damage(segment, at, lsn, what));
            } else if scan.cursor.chain != chain {
                self.damage.push(damage(segment, at, lsn, "the segment does not end as its successor says"));
            }
        } else if is_last {
            match judge_tail(scan.facts) {
                Tail::Clean if scan.is_closed => self.tail = TailReport::Closed,
                Tail::Clean => self.tail = TailReport::Open,
                Tail::Torn => self.tail = TailReport::Torn(at),
                Tail::Corrupt | Tail::Unsupported => self.damage.push(damage(segment, at, lsn, what)),
            }
        }
        Ok(())
    }
}

fn damage(segment: &Found, offset: u64, lsn: Lsn, what: &str) -> Damage {
    Damage { segment: segment.name.clone(), offset, lsn, what: what.to_owned() }
}
