use std::{ops::Range, sync::Arc};

use standpipe_log::{File, FileExt, Lsn};

use crate::{
    cursor::{Cursor, Standing, Step},
    record::Walk,
};

/// Frames that lay side by side, checked.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) frames: Vec<Framed>,
    /// What was read.
    bytes: Vec<u8>,
    /// Payloads that are not in `bytes` as they were written.
    made: Vec<u8>,
}

/// One frame of a block.
#[derive(Clone, Debug)]
pub(crate) struct Framed {
    pub(crate) records: u32,
    pub(crate) base: Lsn,
    /// The number after its last record.
    pub(crate) end: Lsn,
    /// Its length on disk.
    pub(crate) span: u64,
    is_made: bool,
    place: Range<usize>,
}

impl Framed {
    pub(crate) fn walk(&self) -> Walk {
        Walk::new(self.records, self.base)
    }
}

impl Block {
    /// A block of no frames, in the memory of one that is done with.
    pub(crate) fn emptied(mut self) -> Self {
        self.frames.clear();
        self.made.clear();
        // `bytes` keeps its length: what is not zeroed again costs nothing, and a read says how much of it counts.
        self
    }

    /// The memory that it takes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.capacity() + self.made.capacity() + self.frames.capacity() * size_of::<Framed>()
    }

    #[inline]
    pub(crate) fn payload(&self, frame: &Framed) -> &[u8] {
        let bytes = if frame.is_made { &self.made } else { &self.bytes };
        &bytes[frame.place.clone()]
    }

    /// Takes a copy of a frame's payload, in a block that was not read as a whole.
    pub(crate) fn copy(&mut self, records: u32, base: Lsn, end: Lsn, span: u64, payload: &[u8]) {
        let place = self.made.len()..self.made.len() + payload.len();
        self.made.extend_from_slice(payload);
        self.frames.push(Framed { records, base, end, span, is_made: true, place });
    }

    /// The bytes of payloads that were copied.
    pub(crate) fn copied_bytes(&self) -> usize {
        self.made.len()
    }
}

/// Frames that lie side by side, as read.
#[derive(Debug)]
pub(crate) struct Part<F> {
    pub(crate) file: Arc<F>,
    pub(crate) sequence: u64,
    /// The first number of the segment.
    pub(crate) segment_base: Lsn,
    /// Where the first frame starts. Its number is what the frame itself says.
    pub(crate) start: Standing,
    pub(crate) end: u64,
    /// What was read, or memory to read into.
    pub(crate) bytes: Vec<u8>,
    /// How many bytes are still to be read into it.
    pub(crate) unread: usize,
}

/// A block, and where it belongs.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) block: Block,
    pub(crate) sequence: u64,
    pub(crate) segment_base: Lsn,
    pub(crate) first: Lsn,
    /// Where a cursor stands that went over it.
    pub(crate) end: Standing,
}

impl<F: File> Part<F> {
    /// Checks every frame as a cursor does, for it is one. `None` where anything is wrong: the serial reader tells what.
    pub(crate) fn check(mut self, spare: Block) -> Option<Checked> {
        let Block { mut frames, mut made, .. } = spare.emptied();
        if self.unread > 0 {
            self.bytes.resize(self.unread, 0);
            let read = self.file.read_full_at(&mut self.bytes, self.start.offset).ok()?;
            self.bytes.truncate(read);
        }
        let mut cursor = Cursor::within(self.start, self.bytes);
        loop {
            let at = cursor.offset;
            match cursor.step(&*self.file, self.end) {
                Ok(Step::Frame(frame)) => {
                    let (records, base, end, span) =
                        (frame.records, frame.base, cursor.lsn, cursor.offset - at);
                    let read = cursor.place_as_read();
                    let is_made = read.is_none();
                    let place = read.unwrap_or_else(|| {
                        let from = made.len();
                        made.extend_from_slice(cursor.payload());
                        from..made.len()
                    });
                    frames.push(Framed { records, base, end, span, is_made, place });
                }
                Ok(Step::End) => break,
                Ok(Step::Bad(_)) | Err(_) => return None,
            }
        }
        let end = Standing { offset: cursor.offset, chain: cursor.chain, lsn: cursor.lsn, ..self.start };
        let block = Block { frames, made, bytes: cursor.into_read() };
        let (sequence, segment_base, first) = (self.sequence, self.segment_base, self.start.lsn);
        Some(Checked { block, sequence, segment_base, first, end })
    }
}

impl Block {
    /// The memory for reading into.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}
