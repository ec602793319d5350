use std::{collections::BTreeMap, io};

use standpipe_log::{File, FileExt, LogError, Lsn, Storage};

use crate::{
    extent::Entry,
    frame::{self, Stamp},
    record,
    segment::{self, Header},
};

/// Every pinned key and its value.
pub(crate) type Pins = BTreeMap<Vec<u8>, Vec<u8>>;

/// A segment in the making, under a name that opening ignores. It gets its own name by a rename after everything in
/// it was synced, so a segment with a bad header is always damage and never a crash.
#[derive(Debug)]
pub(crate) struct Draft<F> {
    file: F,
    header: Header,
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
#[derive(Debug)]
pub(crate) enum Stillborn {
    /// No room. Nothing else changed.
    Full(String),
    /// The file system failed in a way that leaves its state unknown.
    Failed(LogError),
}

impl<F: File> Draft<F> {
    /// Makes the file, reserves its space and states the pins.
    pub(crate) fn create<S: Storage<File = F>>(
        storage: &S,
        header: Header,
        pins: &Pins,
    ) -> Result<Self, Stillborn> {
        let name = segment::draft_name(header.sequence);
        let made = || -> io::Result<F> {
            let file = match storage.create(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    storage.remove(&name)?;
                    storage.create(&name)?
                }
                other => other?,
            };
            file.allocate(header.length)?;
            Ok(file)
        };
        let file = made().map_err(|error| give_up(storage, header.sequence, "making a segment", error))?;
        let seed = header.seed();
        let base = header.base;
        let offset = segment::HEADER_BYTES;
        let mut draft = Draft { file, header, offset, chain: seed, lsn: base, first: None };
        let (mut bytes, records) = restate(pins);
        let written = draft.write(&mut bytes, frame::RESTATES, records, base, base, None);
        written.map_err(|error| give_up(storage, header.sequence, "writing a segment", error))?;
        Ok(draft)
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
        // What a draft holds is proven by its header, so its frames need not say so.
        let stamp = Stamp { flags, records, base, previous: self.chain, proven: 0 };
        self.chain = frame::seal(bytes, self.header.seed(), stamp);
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        self.lsn = end;
        self.first = self.first.or(first);
        Ok(())
    }

    /// Syncs the file and gives it its name, in place of an older segment that had it.
    pub(crate) fn publish<S: Storage<File = F>>(mut self, storage: &S) -> Result<Active<F>, Stillborn> {
        let sequence = self.header.sequence;
        self.header.born_end = self.offset;
        let written = self.file.write_all_at(&self.header.encode(), 0);
        written.map_err(|error| give_up(storage, sequence, "writing a segment's header", error))?;
        let failed = |doing: &str, error| Stillborn::Failed(LogError::io(doing, error));
        self.file.sync_all().map_err(|error| failed("syncing a new segment", error))?;
        let renamed = storage.rename(&segment::draft_name(sequence), &segment::name(sequence));
        renamed.map_err(|error| give_up(storage, sequence, "naming a new segment", error))?;
        storage.sync_dir().map_err(|error| failed("syncing the directory of a new segment", error))?;
        Ok(Active {
            seed: self.header.seed(),
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
            base: self.header.base,
            length: self.header.length,
            has_predecessor: self.header.predecessor.is_some(),
            first: self.first,
            seal: None,
        }
    }

    /// What is free for frames; room for the proof at the end is kept back.
    pub(crate) fn free(&self) -> u64 {
        self.header.length.saturating_sub(self.offset + frame::HEADER_BYTES as u64)
    }
}

/// The frame that states all pins, ready to be sealed, and how many they are.
fn restate(pins: &Pins) -> (Vec<u8>, u32) {
    let mut bytes = vec![0; frame::HEADER_BYTES];
    for (key, value) in pins {
        record::lay_pin(&mut bytes, key, value);
    }
    (bytes, u32::try_from(pins.len()).unwrap_or(u32::MAX))
}

/// The space of the frame that states these pins.
pub(crate) fn restate_span(pins: &Pins) -> u64 {
    frame::span(pins.iter().map(|(key, value)| record::pin_bytes(key, value)).sum())
}

/// The length of a segment that has room for the pins and this much more.
pub(crate) fn length_for(pins: &Pins, frames: u64, segment_bytes: u64) -> u64 {
    let proof = frame::HEADER_BYTES as u64;
    segment::round_up(segment::HEADER_BYTES + restate_span(pins) + frames + proof).max(segment_bytes)
}

/// Drops a draft. That it could not be removed does no harm: opening ignores it, and making it anew removes it.
fn give_up<S: Storage>(storage: &S, sequence: u64, doing: &str, error: io::Error) -> Stillborn {
    if error.kind() != io::ErrorKind::StorageFull && error.kind() != io::ErrorKind::QuotaExceeded {
        return Stillborn::Failed(LogError::io(doing, error));
    }
    let _ = storage.remove(&segment::draft_name(sequence));
    Stillborn::Full(format!("{doing} in {}: {error}", storage.describe()))
}
