use std::io::Read;

use standpipe_core::{Error, ErrorKind};

/// A place in a stream of text: where to go on reading after a record, and what to tell people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Bytes before it, after decompression.
    pub offset: u64,
    /// The line, from 1.
    pub line: u64,
}

impl Position {
    /// The beginning of a stream.
    pub const START: Position = Position { offset: 0, line: 1 };
}

/// A record that cannot be split into fields, and was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// Where it begins.
    pub start: Position,
    /// Where the next one begins.
    pub end: Position,
    /// Why, with what is known of the cause.
    pub reason: String,
    /// Its bytes; of an over-long record the first 64 KiB.
    pub raw: &'a [u8],
}

/// Bytes on their way from a reader, with a count of how many and how many lines have gone by.
#[derive(Debug)]
pub(crate) struct Feed<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    position: Position,
    ended: bool,
}

const CHUNK_BYTES: usize = 256 << 10;

impl<R: Read> Feed<R> {
    pub(crate) fn new(reader: R, position: Position) -> Self {
        Feed { reader, buffer: Vec::new(), start: 0, end: 0, position, ended: false }
    }

    /// What is there and not consumed.
    #[inline]
    pub(crate) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The `length` bytes before the window, which were consumed last and are there until the next `fill`.
    #[inline]
    pub(crate) fn consumed(&self, length: usize) -> &[u8] {
        &self.buffer[self.start - length..self.start]
    }

    #[inline]
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    #[inline]
    pub(crate) fn consume(&mut self, bytes: usize, lines: u64) {
        self.start += bytes;
        self.position.offset += bytes as u64;
        self.position.line += lines;
    }

    /// Consumes lines whose contents were not looked at.
    pub(crate) fn consume_counting(&mut self, bytes: usize) {
        let lines = memchr::memchr_iter(b'\n', &self.window()[..bytes]).count();
        self.consume(bytes, lines as u64);
    }

    /// Makes the window longer; false at the end of the stream. The buffer grows with the window: a caller with a limit
    /// consumes what is beyond it.
    pub(crate) fn fill(&mut self) -> Result<bool, Error> {
        if self.ended {
            return Ok(false);
        }
        self.make_room();
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(false);
                }
                Ok(read) => {
                    self.end += read;
                    return Ok(true);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unreadable(error)),
            }
        }
    }

    /// Fills until the window has `bytes` bytes or the stream ends.
    pub(crate) fn fill_to(&mut self, bytes: usize) -> Result<(), Error> {
        while self.window().len() < bytes && self.fill()? {}
        Ok(())
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    fn make_room(&mut self) {
        let held = self.end - self.start;
        if self.buffer.len() > 2 * CHUNK_BYTES && held < CHUNK_BYTES {
            // One huge record must not keep its room for ever.
            let mut smaller = vec![0; CHUNK_BYTES];
            smaller[..held].copy_from_slice(self.window());
            self.buffer = smaller;
        } else if self.end == self.buffer.len() && held < self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
        } else if self.end < self.buffer.len() {
            return;
        } else {
            let more = self.buffer.len().clamp(CHUNK_BYTES, 4 << 20);
            self.buffer.reserve_exact(more);
            self.buffer.resize(self.buffer.len() + more, 0);
            return;
        }
        self.start = 0;
        self.end = held;
    }

    #[cold]
    fn unreadable(&self, error: std::io::Error) -> Error {
        let kind = match error.kind() {
            // What decompressors say of a file that is cut or damaged.
            std::io::ErrorKind::InvalidData
            | std::io::ErrorKind::InvalidInput
            | std::io::ErrorKind::UnexpectedEof => ErrorKind::Corrupt,
            _ => ErrorKind::Invalid,
        };
        let Position { offset, line } = self.position;
        Error::new(kind, format!("cannot read on after line {line} (byte {offset}): {error}"))
            .with_source(error)
    }
}

/// The bytes of an over-long record that are kept to show.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// Consumes what the stream begins with that is no data: UTF-8's mark of its byte order.
pub(crate) fn skip_mark<R: Read>(feed: &mut Feed<R>) -> Result<(), Error> {
    feed.fill_to(3)?;
    if feed.window().starts_with(b"\xef\xbb\xbf") {
        feed.consume(3, 0);
    } else if feed.window().starts_with(b"\xff\xfe") || feed.window().starts_with(b"\xfe\xff") {
        return Err(Error::invalid("the text is UTF-16; convert it to UTF-8 (for example with iconv)"));
    }
    Ok(())
}
