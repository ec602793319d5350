use std::io;

use standpipe_log::{File, FileExt, LogError, Lsn, Storage};

use crate::{
    birth::Pins,
    compress::RAW_BYTES_ANYWHERE,
    cursor::{Cursor, Fault, Step},
    frame,
    record::Item,
    recovery::{LinkFacts, TailFacts, judge_link},
    remainder::{Remainder, search},
    seal::Seal,
    segment::{self, Birth, Header, HeaderFault, Predecessor},
};

/// A segment file as it was found.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) sequence: u64,
    pub(crate) file_bytes: u64,
    pub(crate) header: Result<Header, HeaderFault>,
    /// How it begins, or what stands where that should be said.
    pub(crate) beginning: Result<Birth, Fault>,
}

/// What the sound frames of a segment come to.
pub(crate) struct Scan {
    pub(crate) cursor: Cursor,
    pub(crate) facts: TailFacts,
    pub(crate) pins: Pins,
    pub(crate) first: Option<Lsn>,
    pub(crate) frames: u64,
    pub(crate) records: u64,
    /// Below this, everything is known to be durable.
    pub(crate) proven: u64,
    /// The pins that the segment begins with, and the end of the frame that states them.
    pub(crate) opening_pins: Pins,
    pub(crate) opening_end: u64,
    /// Where the last frame that holds anything ends: there nothing but proofs lie between this and the cursor.
    pub(crate) content: Seal,
    /// Whether the log was closed, and nothing came after.
    pub(crate) is_closed: bool,
    /// Whether records behind it may have been told.
    pub(crate) tells_early: bool,
    /// The longest payload, as it was before it was compressed, of those too long to be believed in any segment; else 0.
    pub(crate) longest_bytes: u64,
}

/// All segment files in the order of their numbers, with their headers and how they begin.
pub(crate) fn survey<S: Storage>(storage: &S) -> Result<Vec<Found>, LogError> {
    let doing = |what: &str| format!("{what} in {}", storage.describe());
    let names = storage.list().map_err(|error| LogError::io(doing("listing segments"), error))?;
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| segment::sequence_of(name)).collect();
    sequences.sort_unstable();
    let mut found = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let name = segment::name(sequence);
        let failed = |error| LogError::io(format!("reading {name} in {}", storage.describe()), error);
        let file = storage.open(&name).map_err(failed)?;
        let file_bytes = file.len().map_err(failed)?;
        let mut bytes = vec![0; segment::HEADER_BYTES as usize];
        let read = file.read_full_at(&mut bytes, 0).map_err(failed)?;
        let header = Header::decode(&bytes[..read]);
        let beginning = match &header {
            Ok(header) => beginning(&file, header, header.length.min(file_bytes)).map_err(failed)?,
            Err(_) => Err(Fault::Broken("the segment header is damaged")),
        };
        found.push(Found { name, sequence, file_bytes, header, beginning });
    }
    Ok(found)
}

/// How a segment begins: as its header says, or its first frame.
pub(crate) fn beginning<F: File>(file: &F, header: &Header, limit: u64) -> io::Result<Result<Birth, Fault>> {
    if let Some(birth) = header.birth {
        return Ok(Ok(birth));
    }
    let begun = opening_frame(file, header.incarnation, limit)?;
    if begun.as_ref().is_ok_and(|birth| birth.link.is_some() != header.predecessor.is_some()) {
        return Ok(Err(Fault::Senseless(NO_BEGINNING)));
    }
    Ok(begun)
}

const NO_BEGINNING: &str = "the segment's first frame does not say how it begins";

/// What the first frame of a segment says about how it begins. That of version 1 has no link.
pub(crate) fn opening_frame<F: File>(
    file: &F,
    incarnation: u64,
    limit: u64,
) -> io::Result<Result<Birth, Fault>> {
    let mut cursor = Cursor::new(incarnation, Lsn::new(0)).narrow();
    let frame = match cursor.step(file, limit)? {
        Step::Frame(frame) => frame,
        Step::Bad(fault) => return Ok(Err(fault)),
        Step::End => return Ok(Err(Fault::Broken("the file ends behind its header"))),
    };
    let link = match cursor.items(&frame).next() {
        Some(Item::Link(link)) => Some(link),
        _ => None,
    };
    if frame.flags & frame::RESTATES == 0 {
        return Ok(Err(Fault::Senseless(NO_BEGINNING)));
    }
    if frame.base < Lsn::FIRST {
        return Ok(Err(Fault::Senseless("the segment's first number is none")));
    }
    if link.is_some_and(|link| link.end < segment::HEADER_BYTES || !link.end.is_multiple_of(8)) {
        return Ok(Err(Fault::Senseless("the segment before it cannot end where it says")));
    }
    if link.is_some_and(|link| link.end_lsn > frame.base) {
        return Ok(Err(Fault::Senseless("the segment begins before the one before it ends")));
    }
    Ok(Ok(Birth { base: frame.base, link }))
}

/// Takes off the last segment where it was made ahead of time and not begun. That it was not follows from its frames, or
/// from the segment before: see [`Found::check_ready`].
pub(crate) fn take_ready(found: &mut Vec<Found>) -> Option<Found> {
    let [.., before, last] = found.as_slice() else { return None };
    let is_ready = last.header.as_ref().is_ok_and(|header| {
        let follows = |named: Predecessor| named.sequence.checked_add(1) == Some(header.sequence);
        // Its space was reserved before it got its name: a shorter file is damaged, whatever is in it.
        header.born_end == segment::HEADER_BYTES
            && last.file_bytes >= header.length
            && last.sequence == header.sequence
            && header.predecessor.is_some_and(follows)
            && before.header.as_ref().map_or(true, |before| before.log == header.log)
    });
    if is_ready && matches!(last.beginning, Err(Fault::Broken(_))) { found.pop() } else { None }
}

/// Whether each segment takes its place after the one before it.
pub(crate) fn links(found: &[Found]) -> Vec<Result<(), HeaderFault>> {
    let mut out = Vec::with_capacity(found.len());
    for (at, segment) in found.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &found[before]);
        let header = match &segment.header {
            Err(fault) => {
                out.push(Err(fault.clone()));
                continue;
            }
            Ok(header) => header,
        };
        let older = before.and_then(|before| before.header.as_ref().ok());
        let linked = match (older, &header.predecessor) {
            (Some(older), Some(named)) => older.log == header.log && older.named() == *named,
            _ => false,
        };
        let link = segment.beginning.as_ref().ok().and_then(|birth| birth.link);
        let facts = LinkFacts {
            header: true,
            named: header.sequence == segment.sequence,
            begun: segment.beginning.is_ok(),
            oldest: before.is_none(),
            linked,
            sensible: before.zip(link).is_some_and(|(before, link)| {
                link.end > segment::HEADER_BYTES && link.end_lsn >= before.base()
            }),
            reaches: before.zip(link).is_some_and(|(before, link)| before.file_bytes >= link.end),
        };
        let what = |what| segment.beginning.err().filter(|_| facts.named).map_or(what, Fault::what);
        out.push(judge_link(facts).map_err(|fault| HeaderFault::Damaged(what(fault))));
    }
    out
}

/// Reads every frame of a segment up to `limit`, and what follows the last sound one.
pub(crate) fn scan<F: File>(file: &F, header: &Header, limit: u64) -> io::Result<Scan> {
    let mut scan = Scan::new(header);
    let mut doubted = None;
    loop {
        let at = scan.cursor.offset;
        match scan.cursor.step(file, limit)? {
            Step::Frame(frame) => scan.take(&frame, header),
            Step::End => break,
            // Nothing was written behind where the log was closed.
            Step::Bad(Fault::Broken(_)) if scan.is_closed => break,
            Step::Bad(fault) => {
                if doubted == Some(at) {
                    break;
                }
                let remainder = search(file, header, at, scan.cursor.chain, limit)?;
                scan.facts =
                    TailFacts { fault: Some(fault), is_born: at < header.born_end, remainder, ..CLEAN };
                if remainder.proof.is_none() {
                    break;
                }
                // In a log that is being written the frame may have come since: look once more.
                doubted = Some(at);
                scan.cursor.refresh();
            }
        }
    }
    Ok(scan)
}

impl Scan {
    fn new(header: &Header) -> Self {
        let cursor = Cursor::new(header.incarnation, header.birth.map_or(Lsn::new(0), |birth| birth.base));
        Scan {
            content: cursor.seal(),
            cursor,
            facts: CLEAN,
            pins: Pins::new(),
            first: None,
            frames: 0,
            records: 0,
            proven: header.born_end,
            opening_pins: Pins::new(),
            opening_end: segment::HEADER_BYTES,
            is_closed: false,
            tells_early: false,
            longest_bytes: 0,
        }
    }

    fn take(&mut self, frame: &frame::Header, header: &Header) {
        self.facts = CLEAN;
        let is_opening = frame.flags & frame::RESTATES != 0;
        if is_opening {
            self.pins.clear();
        }
        for item in self.cursor.items(frame) {
            apply_pin(&mut self.pins, self.cursor.payload(), &item);
        }
        self.frames += 1;
        self.records += u64::from(frame.records);
        self.first = self.first.or_else(|| first_data(&self.cursor, frame));
        self.proven = self.proven.max(frame.proven).max(header.born_end);
        self.is_closed = frame.flags & frame::CLOSED != 0;
        self.tells_early = frame.flags & frame::TELLS_EARLY != 0;
        let bytes = self.cursor.payload().len() as u64;
        if bytes > RAW_BYTES_ANYWHERE {
            self.longest_bytes = self.longest_bytes.max(bytes);
        }
        if frame.flags & frame::PROOF == 0 {
            self.content = self.cursor.seal();
        }
        if is_opening {
            self.opening_pins = self.pins.clone();
            self.opening_end = self.cursor.offset;
        }
    }
}

/// What is seen where a segment is full to its end.
pub(crate) const CLEAN: TailFacts = TailFacts {
    fault: None,
    is_born: false,
    is_cut: false,
    remainder: Remainder { is_blank: true, proof: None },
};

/// The number of the first record of the caller's in the frame that the cursor just read.
pub(crate) fn first_data(cursor: &Cursor, frame: &frame::Header) -> Option<Lsn> {
    cursor.items(frame).find_map(|item| match item {
        Item::Data { lsn, .. } => Some(lsn),
        _ => None,
    })
}

/// Does to the pins what a record says.
pub(crate) fn apply_pin(pins: &mut Pins, payload: &[u8], item: &Item) {
    if let Item::Pin { key, value } = item {
        let (key, value) = (&payload[key.clone()], &payload[value.clone()]);
        if value.is_empty() {
            pins.remove(key);
        } else {
            pins.insert(key.to_vec(), value.to_vec());
        }
    }
}

impl Found {
    /// Opens the file. Not held open all along, for a log may have more segments than a process may have files.
    pub(crate) fn open<S: Storage>(&self, storage: &S) -> Result<S::File, LogError> {
        storage.open(&self.name).map_err(|error| self.unreadable(error))
    }

    /// The number of its first record, or a lower one, where that is known.
    pub(crate) fn base(&self) -> Lsn {
        self.beginning.as_ref().map_or(Lsn::FIRST, |birth| birth.base)
    }

    /// Where the segment before it ends.
    pub(crate) fn link(&self) -> Option<Seal> {
        self.beginning.as_ref().ok().and_then(|birth| birth.link)
    }

    /// Whether a segment that [`take_ready`] took off was made to follow this one.
    pub(crate) fn follows(&self, before: &Header) -> bool {
        self.header.as_ref().is_ok_and(|header| header.predecessor == Some(before.named()))
    }

    /// Whether its file ends before the space does that was reserved for it.
    pub(crate) fn is_cut(&self) -> bool {
        self.header.as_ref().is_ok_and(|header| self.file_bytes < header.length)
    }

    /// Whether a segment that [`take_ready`] took off was never begun; otherwise its first frame is damaged, for a later
    /// one proves it. Reads the whole file: not needed when the segment before ends with the log's close.
    pub(crate) fn check_ready<S: Storage>(&self, storage: &S) -> Result<(), LogError> {
        let Ok(header) = &self.header else { return Ok(()) };
        let file = self.open(storage)?;
        let found = search(&file, header, segment::HEADER_BYTES, header.seed(), self.limit(header));
        match found.map_err(|error| self.unreadable(error))?.proof {
            None => Ok(()),
            Some(_) => {
                Err(self.damage_at(segment::HEADER_BYTES, Lsn::FIRST, "the segment's first frame is damaged"))
            }
        }
    }

    /// Where the frames of the last segment end at the latest.
    pub(crate) fn limit(&self, header: &Header) -> u64 {
        header.length.min(self.file_bytes)
    }

    pub(crate) fn damage(&self, fault: HeaderFault) -> LogError {
        match fault {
            HeaderFault::Unsupported(version) => {
                LogError::Unsupported { segment: self.name.clone(), version }
            }
            HeaderFault::UnknownFlags(flags) => LogError::Invalid(format!(
                "{} has flags in its header ({flags:#x}) of a later version, which this build does not read",
                self.name
            )),
            HeaderFault::Damaged(what) => self.damage_at(0, self.base(), what),
        }
    }

    pub(crate) fn damage_at(&self, offset: u64, lsn: Lsn, what: &str) -> LogError {
        LogError::Corrupt { segment: self.name.clone(), offset, lsn, what: what.to_owned() }
    }

    pub(crate) fn corrupt(&self, scan: &Scan) -> LogError {
        self.damage_at(scan.cursor.offset, scan.cursor.lsn, scan.facts.what())
    }

    pub(crate) fn unknown_frame(&self, scan: &Scan) -> LogError {
        let (segment, offset) = (&self.name, scan.cursor.offset);
        LogError::Invalid(format!(
            "{segment} has at byte {offset} a frame of a later version, which this build does not read"
        ))
    }

    pub(crate) fn unreadable(&self, error: io::Error) -> LogError {
        LogError::io(format!("reading {}", self.name), error)
    }
}
