use std::{collections::BTreeMap, io};

use standpipe_log::{File, FileExt, LogError, Lsn, Storage};

use crate::{
    extent::Entry,
    frame::{self, Stamp},
    names::Names,
    record,
    seal::Seal,
    segment::{self, Header, PAGE_BYTES},
};

/// Every pinned key and its value.
pub(crate) type Pins = BTreeMap<Vec<u8>, Vec<u8>>;

/// A segment in the making, under a name that opening ignores. It gets its own name by a rename after everything in
/// it was synced, so a segment with a bad header is always damage and never a crash.
#[derive(Debug)]
pub(crate) struct Draft<F> {
    file: F,
    header: Header,
    base: Lsn,
    offset: u64,
    chain: u32,
    lsn: Lsn,
    first: Option<Lsn>,
}

/// A segment that takes frames.
#[derive(Debug)]
pub(crate) struct Active<F> {
    pub(crate) file: F,
    pub(crate) header: Header,
    pub(crate) seed: u32,
    /// The number that its first record gets, or a lower one.
    pub(crate) base: Lsn,
    /// Where the next frame goes.
    pub(crate) offset: u64,
    /// What is below was synced.
    pub(crate) synced: u64,
    pub(crate) chain: u32,
    pub(crate) lsn: Lsn,
    /// The first record of the caller's that came with the segment.
    pub(crate) first: Option<Lsn>,
}

/// Why there is no new segment.
#[derive(Clone, Debug)]
pub(crate) enum Stillborn {
    /// No room. Nothing else changed.
    Full(String),
    /// The file system failed in a way that leaves its state unknown.
    Failed(LogError),
}

/// The file that a segment is made in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A new one. `is_zeroed`: every block is written once, so that a later sync of frames has no metadata to write.
    New { is_zeroed: bool },
    /// One that held a segment, under this name. It has the right length, and its name means nothing to opening.
    Free(String),
}

impl<F: File> Draft<F> {
    /// Makes the file and reserves its space.
    pub(crate) fn create<S: Storage<File = F>>(
        storage: &S,
        mut header: Header,
        origin: &Origin,
    ) -> Result<Self, Stillborn> {
        header.recycled = matches!(origin, Origin::Free(_));
        let made = match origin {
            Origin::Free(name) => recycle(storage, name, &header),
            Origin::New { is_zeroed } => reserve(storage, &header, *is_zeroed),
        };
        let file = made.map_err(|error| give_up(storage, header.sequence, "making a segment", error))?;
        let (offset, chain) = (segment::HEADER_BYTES, header.seed());
        let (base, lsn) = (Lsn::FIRST, Lsn::FIRST);
        Ok(Draft { file, header, base, offset, chain, lsn, first: None })
    }

    /// Writes the first frame: where the segment before ends, and all pins.
    pub(crate) fn begin<S: Storage<File = F>>(
        &mut self,
        storage: &S,
        base: Lsn,
        link: Option<&Seal>,
        pins: &Pins,
    ) -> Result<(), Stillborn> {
        self.base = base;
        let (mut bytes, records) = opening(link, pins);
        let written = self.write(&mut bytes, frame::RESTATES, records, base, base, None);
        written.map_err(|error| give_up(storage, self.header.sequence, "writing a segment", error))
    }

    /// Writes a frame; `bytes` is 32 free bytes and the payload. `end` is the number after its last record.
    pub(crate) fn write(
        &mut self,
        bytes: &mut Vec<u8>,
        flags: u8,
        records: u32,
        base: Lsn,
        end: Lsn,
        first: Option<Lsn>,
    ) -> io::Result<()> {
        self.write_stored(bytes, frame::CODEC_RAW, flags, records, base, end, first)
    }

    /// Writes a frame whose payload is as this codec made it.
    #[allow(clippy::too_many_arguments, reason = "each is a part of a frame")]
    pub(crate) fn write_stored(
        &mut self,
        bytes: &mut Vec<u8>,
        codec: u8,
        flags: u8,
        records: u32,
        base: Lsn,
        end: Lsn,
        first: Option<Lsn>,
    ) -> io::Result<()> {
        // What a draft holds is proven by its header, so its frames need not say so.
        let stamp = Stamp { codec, flags, records, base, previous: self.chain, proven: 0 };
        self.chain = frame::seal(bytes, self.header.seed(), stamp, self.offset);
        if self.offset + bytes.len() as u64 > self.header.length {
            // A segment whose header says less than it holds would be refused as damaged, for ever.
            return Err(io::Error::other("a new segment is too short for what it begins with"));
        }
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        self.lsn = end;
        self.first = self.first.or(first);
        Ok(())
    }

    /// Syncs the file and gives it its name, in place of an older segment that had it.
    pub(crate) fn publish<S: Storage<File = F>>(
        mut self,
        storage: &S,
        names: &Names,
    ) -> Result<Active<F>, Stillborn> {
        let sequence = self.header.sequence;
        let gave_up = |doing: &str, error| give_up(storage, sequence, doing, error);
        if !self.offset.is_multiple_of(PAGE_BYTES) {
            // What comes later starts on a page of its own, so that nothing here is written to again.
            let (mut bytes, flags, lsn) =
                (vec![0; frame::HEADER_BYTES], frame::PROOF | frame::GROUP_END, self.lsn);
            let ended = self.write(&mut bytes, flags, 0, lsn, lsn, None);
            ended.map_err(|error| gave_up("writing a segment", error))?;
        }
        self.header.born_end = self.offset;
        let written = self.file.write_all_at(&self.header.encode(), 0);
        written.map_err(|error| gave_up("writing a segment's header", error))?;
        let failed = |doing: &str, error| Stillborn::Failed(LogError::io(doing, error));
        self.file.sync_all().map_err(|error| failed("syncing a new segment", error))?;
        let renamed = storage.rename(&segment::draft_name(sequence), &segment::name(sequence));
        renamed.map_err(|error| gave_up("naming a new segment", error))?;
        names.sync(storage, "of a new segment").map_err(Stillborn::Failed)?;
        Ok(Active {
            seed: self.header.seed(),
            base: self.base,
            offset: self.offset,
            synced: self.offset,
            chain: self.chain,
            lsn: self.lsn,
            first: self.first,
            file: self.file,
            header: self.header,
        })
    }
}

impl<F> Active<F> {
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            sequence: self.header.sequence,
            incarnation: self.header.incarnation,
            base: self.base,
            length: self.header.length,
            has_predecessor: self.header.predecessor.is_some(),
            first: self.first,
            seal: None,
        }
    }

    /// Where it ends, as its successor will say.
    pub(crate) fn seal(&self) -> Seal {
        Seal { end: self.offset, end_lsn: self.lsn, chain: self.chain }
    }

    /// What is free for frames; a page for the proof at the end is kept back.
    pub(crate) fn free(&self) -> u64 {
        self.header.length.saturating_sub(self.offset + PAGE_BYTES)
    }
}

/// The frame that a segment begins with, ready to be sealed, and the number of its records.
pub(crate) fn opening(link: Option<&Seal>, pins: &Pins) -> (Vec<u8>, u32) {
    let mut bytes = vec![0; frame::HEADER_BYTES];
    if let Some(link) = link {
        record::lay_link(&mut bytes, link);
    }
    for (key, value) in pins {
        record::lay_pin(&mut bytes, key, value);
    }
    let records = pins.len() + usize::from(link.is_some());
    (bytes, u32::try_from(records).unwrap_or(u32::MAX))
}

/// The space of the frame that a segment begins with, at most.
fn opening_span(pins: &Pins) -> u64 {
    let pins: usize = pins.iter().map(|(key, value)| record::pin_bytes(key, value)).sum();
    frame::span(record::link_bytes() + pins)
}

/// The length of a segment that has room for the pins and this much more.
pub(crate) fn length_for(pins: &Pins, frames: u64, segment_bytes: u64) -> u64 {
    let (opening, proof) = (opening_span(pins), PAGE_BYTES);
    segment::round_up(segment::HEADER_BYTES + opening + frames + PAGE_BYTES + proof).max(segment_bytes)
}

/// A file of its own. A draft of that name is what a crash left.
fn reserve<S: Storage>(storage: &S, header: &Header, is_zeroed: bool) -> io::Result<S::File> {
    let name = segment::draft_name(header.sequence);
    let file = match storage.create(&name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            storage.remove(&name)?;
            storage.create(&name)?
        }
        other => other?,
    };
    file.allocate(header.length)?;
    if is_zeroed {
        zero(&file, header.length)?;
    }
    Ok(file)
}

/// Writes zeros over blocks that read as zeros: a file system that keeps a note of blocks that were never written would have
/// to change it at each sync, for which the writers would wait.
///
/// In pieces of 64 KiB: larger ones make larger units of the page cache, in which small writes later are slow. Synced bit
/// by bit, so that whoever syncs another file meanwhile does not wait for all of it.
fn zero<F: File>(file: &F, length: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    const SYNC_BYTES: u64 = 1 << 20;
    let mut at = segment::HEADER_BYTES;
    while at < length {
        let step = (length - at).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..step as usize], at)?;
        at += step;
        if at.is_multiple_of(SYNC_BYTES) && at < length {
            file.sync_data()?;
        }
    }
    Ok(())
}

/// Takes a file that held a segment. Its new header comes over the old one only under a name that opening ignores.
fn recycle<S: Storage>(storage: &S, name: &str, header: &Header) -> io::Result<S::File> {
    let draft = segment::draft_name(header.sequence);
    storage.rename(name, &draft)?;
    storage.open(&draft)
}

/// Drops a draft. That it could not be removed does no harm: opening ignores it, and making it anew removes it.
fn give_up<S: Storage>(storage: &S, sequence: u64, doing: &str, error: io::Error) -> Stillborn {
    if error.kind() != io::ErrorKind::StorageFull && error.kind() != io::ErrorKind::QuotaExceeded {
        return Stillborn::Failed(LogError::io(doing, error));
    }
    let _ = storage.remove(&segment::draft_name(sequence));
    Stillborn::Full(format!("{doing} in {}: {error}", storage.describe()))
}
