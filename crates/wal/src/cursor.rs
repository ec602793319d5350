use std::{io, ops::Range};

use standpipe_log::{File, FileExt, Lsn};

use crate::{
    compress, frame,
    mapping::Mapping,
    planted::{self, Plant},
    record::{self, Item, Walk},
    seal::Seal,
    segment,
};

const READ_BYTES: usize = 256 * 1024;
/// A buffer above this size is given back after the frame that needed it.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Reads the frames of one segment in order and believes none that does not check: magic, length, checksum, chain,
/// numbers, records.
#[derive(Debug)]
pub(crate) struct Cursor {
    seed: u32,
    /// The checksum of the frame before.
    pub(crate) chain: u32,
    /// Where the next frame starts.
    pub(crate) offset: u64,
    /// The number that the next record gets at least.
    pub(crate) lsn: Lsn,
    buffer: Vec<u8>,
    buffer_at: u64,
    /// The segment as memory, which is looked at instead of what was read.
    mapping: Option<Mapping>,
    /// How much is read at once, in bytes, when the frame is not larger.
    ahead: usize,
    frame: (usize, usize),
    /// The last frame says that the log was closed there.
    is_closed: bool,
    /// The payload of the last frame, when it was compressed.
    raw: Vec<u8>,
    is_raw: bool,
}

/// Where a cursor stands: what it must know to go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) incarnation: u64,
    pub(crate) offset: u64,
    pub(crate) chain: u32,
    pub(crate) lsn: Lsn,
}

/// What lies at the cursor.
#[derive(Debug)]
pub(crate) enum Step {
    /// A sound frame, now behind the cursor; its bytes are in [`Cursor::payload`].
    Frame(frame::Header),
    /// The limit.
    End,
    /// No sound frame. The cursor stays.
    Bad(Fault),
}

/// Why a frame is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not what was written: damaged, or never written whole.
    Broken(&'static str),
    /// Whole by its checksum, and still wrong: no interrupted write leaves that behind.
    Senseless(&'static str),
    /// Whole, with a codec or flags that this build does not know.
    Unknown,
}

impl Fault {
    pub(crate) fn what(self) -> &'static str {
        match self {
            Fault::Broken(what) | Fault::Senseless(what) => what,
            Fault::Unknown => "a frame has a codec or flags that this build does not know",
        }
    }
}

impl Cursor {
    /// At the start of a segment.
    pub(crate) fn new(incarnation: u64, base: Lsn) -> Self {
        let seed = segment::seed(incarnation);
        Cursor {
            seed,
            chain: seed,
            offset: segment::HEADER_BYTES,
            lsn: base,
            buffer: Vec::new(),
            buffer_at: 0,
            mapping: None,
            ahead: READ_BYTES,
            frame: (0, 0),
            is_closed: false,
            raw: Vec::new(),
            is_raw: true,
        }
    }

    /// Reads no further ahead than a page: for the first frame of a segment.
    pub(crate) fn narrow(self) -> Self {
        Cursor { ahead: 4096, ..self }
    }

    /// In the midst of a segment, with what was read of it from there on already.
    pub(crate) fn within(at: Standing, read: Vec<u8>) -> Self {
        let Standing { incarnation, offset, chain, lsn } = at;
        let seed = segment::seed(incarnation);
        Cursor { seed, chain, offset, lsn, buffer: read, buffer_at: offset, ..Cursor::new(incarnation, lsn) }
    }

    /// What was read, at the places that [`place_as_read`](Cursor::place_as_read) said.
    pub(crate) fn into_read(self) -> Vec<u8> {
        self.buffer
    }

    /// Where the payload of the frame that the last step found lies in what was read; `None` where it is not there
    /// as it was written.
    pub(crate) fn place_as_read(&self) -> Option<Range<usize>> {
        self.is_raw.then_some(self.frame.0..self.frame.1)
    }

    /// Reads the next frame, and nothing at or beyond `limit`.
    pub(crate) fn step<F: File>(&mut self, file: &F, limit: u64) -> io::Result<Step> {
        if self.offset >= limit {
            return Ok(Step::End);
        }
        let left = limit - self.offset;
        if left < frame::HEADER_BYTES as u64 || !self.load(file, frame::HEADER_BYTES, limit)? {
            return Ok(Step::Bad(Fault::Broken("no room for a frame")));
        }
        let from = self.place();
        let Some(header) = frame::Header::read(&looked_at(&self.mapping, &self.buffer)[from..]) else {
            return Ok(Step::Bad(Fault::Broken("no frame starts here")));
        };
        let is_too_long = u64::from(header.payload_bytes) > frame::PAYLOAD_BYTES_MAX || header.bytes() > left;
        if is_too_long && !planted::is(Plant::BelievesLengths) {
            return Ok(Step::Bad(Fault::Broken("a frame's length goes beyond its segment")));
        }
        let bytes = frame::HEADER_BYTES + header.payload_bytes as usize;
        if !self.load(file, bytes, limit)? {
            return Ok(Step::Bad(Fault::Broken("the file ends within a frame")));
        }
        let from = self.place();
        let frame = &looked_at(&self.mapping, &self.buffer)[from..from + bytes];
        if frame::checksum(frame, self.seed) != header.checksum && !planted::is(Plant::SkipsChecksums) {
            return Ok(Step::Bad(Fault::Broken("a frame's checksum is wrong")));
        }
        if !header.is_known() {
            return Ok(Step::Bad(Fault::Unknown));
        }
        if header.previous != self.chain {
            return Ok(Step::Bad(Fault::Senseless("a frame does not follow the one before it")));
        }
        if header.base < self.lsn || header.proven > self.offset {
            return Ok(Step::Bad(Fault::Senseless("a frame's numbers make no sense here")));
        }
        if self.is_closed {
            return Ok(Step::Bad(Fault::Senseless(
                "a frame follows the one that says that the log was closed",
            )));
        }
        let (restates, proves) = (header.flags & frame::RESTATES != 0, header.flags & frame::PROOF != 0);
        let closes = header.flags & frame::CLOSED != 0;
        let is_first = self.offset == segment::HEADER_BYTES;
        if restates != is_first || (proves && header.records > 0) || (closes && !proves) {
            return Ok(Step::Bad(Fault::Senseless("a frame's flags make no sense here")));
        }
        self.is_raw = header.codec == frame::CODEC_RAW;
        if !self.is_raw {
            if self.raw.capacity() > KEPT_BYTES_MAX {
                self.raw = Vec::new();
            }
            let stored = &frame[frame::HEADER_BYTES..];
            let claimed = compress::claimed_bytes(stored);
            if claimed > compress::RAW_BYTES_ANYWHERE && claimed > file.len()? {
                return Ok(Step::Bad(Fault::Senseless("a compressed frame is longer than its segment")));
            }
            if let Err(what) = compress::decompress(stored, &mut self.raw) {
                return Ok(Step::Bad(Fault::Senseless(what)));
            }
        }
        let payload = if self.is_raw { &frame[frame::HEADER_BYTES..] } else { &self.raw };
        if !is_first && record::begins_with_link(payload) {
            return Ok(Step::Bad(Fault::Senseless("a link is not in the first frame of its segment")));
        }
        let end = match Walk::new(header.records, header.base).finish(payload) {
            Ok(end) => end,
            Err(what) => return Ok(Step::Bad(Fault::Senseless(what))),
        };
        self.frame = (from + frame::HEADER_BYTES, from + bytes);
        self.is_closed = closes;
        self.lsn = end;
        self.chain = header.checksum;
        self.offset = header.next(self.offset);
        Ok(Step::Frame(header))
    }

    /// The payload of the frame that the last step found, as it was before it was compressed.
    pub(crate) fn payload(&self) -> &[u8] {
        if self.is_raw {
            &looked_at(&self.mapping, &self.buffer)[self.frame.0..self.frame.1]
        } else {
            &self.raw
        }
    }

    /// The same as it is in the file.
    pub(crate) fn stored(&self) -> &[u8] {
        &looked_at(&self.mapping, &self.buffer)[self.frame.0..self.frame.1]
    }

    /// Each record of the frame that the last step found.
    pub(crate) fn items(&self, header: &frame::Header) -> impl Iterator<Item = Item> {
        let mut walk = Walk::new(header.records, header.base);
        std::iter::from_fn(move || walk.next(self.payload()).and_then(Result::ok))
    }

    /// Where the segment ends if nothing follows.
    pub(crate) fn seal(&self) -> Seal {
        Seal { end: self.offset, end_lsn: self.lsn, chain: self.chain }
    }

    /// Forgets what was read ahead, so that the next step sees what is in the file now.
    pub(crate) fn refresh(&mut self) {
        self.buffer.clear();
    }

    /// Goes on in the next segment with the same buffer.
    pub(crate) fn enter(&mut self, incarnation: u64, base: Lsn) {
        let fresh = Cursor::new(incarnation, base);
        let (buffer, raw) = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.raw));
        *self = Cursor { buffer, raw, ahead: self.ahead, ..fresh };
        self.buffer.clear();
    }

    /// Looks at the segment as memory from here on, as far as that goes.
    pub(crate) fn look_at(&mut self, mapping: Mapping) {
        self.refresh();
        (self.mapping, self.buffer_at) = (Some(mapping), 0);
    }

    fn place(&self) -> usize {
        (self.offset - self.buffer_at) as usize
    }

    /// Makes `bytes` from the cursor on be in the buffer, or in the mapping. `false` where the file is too short. The caller has checked
    /// that they lie below `limit`, so that the buffer never outgrows the file.
    fn load<F: File>(&mut self, file: &F, bytes: usize, limit: u64) -> io::Result<bool> {
        if let Some(mapping) = &mut self.mapping {
            if mapping.reach(file, self.offset, bytes) {
                return Ok(true);
            }
            // A read finds out what is wrong, and says it.
            self.mapping = None;
        }
        let have = self.buffer_at + self.buffer.len() as u64;
        if self.offset >= self.buffer_at && self.offset + bytes as u64 <= have {
            return Ok(true);
        }
        if self.buffer.capacity() > KEPT_BYTES_MAX && bytes <= KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
        let left = usize::try_from(limit - self.offset).unwrap_or(usize::MAX);
        let wanted = bytes.max(self.ahead.min(left));
        self.buffer.resize(wanted, 0);
        let read = match file.read_full_at(&mut self.buffer, self.offset) {
            Ok(read) => read,
            Err(error) => {
                self.buffer.clear();
                return Err(error);
            }
        };
        self.buffer.truncate(read);
        self.buffer_at = self.offset;
        Ok(read >= bytes)
    }
}

/// What frames are looked for in.
#[inline]
fn looked_at<'a>(mapping: &'a Option<Mapping>, buffer: &'a [u8]) -> &'a [u8] {
    mapping.as_deref().unwrap_or(buffer)
}

/// Whole frames in bytes that were read, found by their headers alone: nothing is checked, and no length is believed
/// beyond the limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline {
    /// Where the first one starts.
    from: u64,
    /// Where the last one ends.
    pub(crate) end: u64,
    /// Its checksum, as it says.
    pub(crate) chain: u32,
    /// The number of the first one, as it says.
    pub(crate) first: Option<Lsn>,
}

/// What follows the last whole frame of an [`Outline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing that was read, or a part of a header, or nothing that could be a frame.
    Nothing,
    /// A frame that is whole when this many bytes were read in all.
    Wants(usize),
}

impl Outline {
    pub(crate) fn new(from: u64, chain: u32) -> Self {
        Outline { from, end: from, chain, first: None }
    }

    /// Goes on over what was read from the first frame's start on.
    pub(crate) fn follow(&mut self, read: &[u8], limit: u64) -> Rest {
        loop {
            let at = (self.end - self.from) as usize;
            let mut further = *self;
            match read.get(at..).and_then(|read| further.pass(read, limit)) {
                None => return Rest::Nothing,
                Some(span) if at + span > read.len() => return Rest::Wants(at + span),
                Some(_) => *self = further,
            }
        }
    }

    /// Goes on over one frame, of which no more than the header need be read, and returns its length without what pads it.
    pub(crate) fn pass(&mut self, read: &[u8], limit: u64) -> Option<usize> {
        let header = frame::Header::read(read)?;
        let is_within = self.end < limit && header.bytes() <= limit - self.end;
        if u64::from(header.payload_bytes) > frame::PAYLOAD_BYTES_MAX || !is_within {
            return None;
        }
        self.first.get_or_insert(header.base);
        self.chain = header.checksum;
        self.end = header.next(self.end);
        usize::try_from(header.bytes()).ok()
    }
}
