use std::io::Read;

use standpipe_core::Error;

use crate::feed::{Feed, HEAD_BYTES, Position, Refused, skip_mark};

/// Reads a file of JSON lines line by line, each with its place. Lines of nothing but blanks are skipped. Memory stays
/// below about twice the longest line allowed. Blocks as its reader blocks.
#[derive(Debug)]
pub struct JsonLines<R> {
    feed: Feed<R>,
    line_bytes_max: usize,
    head: Vec<u8>,
    begun: bool,
}

/// What comes next in a file.
#[derive(Debug)]
pub enum JsonEntry<'a> {
    /// A line, whatever it holds.
    Line(JsonLine<'a>),
    /// A line that is too long.
    Refused(Refused<'a>),
}

/// A line, borrowed from the reader until the next one.
#[derive(Clone, Copy, Debug)]
pub struct JsonLine<'a> {
    text: &'a [u8],
    start: Position,
    end: Position,
    line_end: bool,
}

enum Found {
    End,
    Line { length: usize, line_end: bool },
    Long { length: u64 },
}

impl<R: Read> JsonLines<R> {
    /// The most bytes of a line unless set otherwise: 16 MiB.
    pub const LINE_BYTES_DEFAULT: usize = 16 << 20;

    /// Reads from the beginning of a file; a byte order mark is skipped.
    #[must_use]
    pub fn new(reader: R) -> Self {
        Self::resume(reader, Position::START)
    }

    /// Reads on at a position where a line begins; `reader` stands there already.
    #[must_use]
    pub fn resume(reader: R, position: Position) -> Self {
        JsonLines {
            feed: Feed::new(reader, position),
            line_bytes_max: Self::LINE_BYTES_DEFAULT,
            head: Vec::new(),
            begun: false,
        }
    }

    /// Sets the most bytes of a line. A longer one is refused, and skipped without being held.
    #[must_use]
    pub fn with_line_bytes_max(mut self, bytes: usize) -> Self {
        self.line_bytes_max = bytes;
        self
    }

    /// Where the next line begins.
    #[must_use]
    pub fn position(&self) -> Position {
        self.feed.position()
    }

    /// Whether a line end is among the bytes that came and were not read yet: then the next read need not wait for more.
    #[must_use]
    pub fn has_line_at_hand(&self) -> bool {
        memchr::memchr(b'\n', self.feed.window()).is_some()
    }

    /// The bytes of memory that are held at present.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.feed.capacity_bytes() + self.head.capacity()
    }

    /// Skips to behind the next line end, for a reader that was set down anywhere in a file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn skip_line(&mut self) -> Result<(), Error> {
        self.skip_long(0).map(drop)
    }

    /// Reads the next entry; `None` at the end.
    ///
    /// # Errors
    /// What the reader says: [`Corrupt`](standpipe_core::ErrorKind::Corrupt) when what it reads is damaged or cut,
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid) otherwise, and for UTF-16.
    pub fn read(&mut self) -> Result<Option<JsonEntry<'_>>, Error> {
        if !self.begun {
            self.begun = true;
            if self.feed.position().offset == 0 {
                skip_mark(&mut self.feed)?;
            }
        }
        loop {
            let start = self.feed.position();
            let found = self.find()?;
            let end = self.feed.position();
            match found {
                Found::End => return Ok(None),
                Found::Long { length } => {
                    let limit = self.line_bytes_max;
                    return Ok(Some(JsonEntry::Refused(Refused {
                        start,
                        end,
                        reason: format!("the line has {length} bytes, the limit is {limit}"),
                        raw: &self.head,
                    })));
                }
                Found::Line { length, line_end } => {
                    if self.feed.consumed(length).iter().all(u8::is_ascii_whitespace) {
                        continue;
                    }
                    let text = self.feed.consumed(length).trim_ascii_end();
                    return Ok(Some(JsonEntry::Line(JsonLine { text, start, end, line_end })));
                }
            }
        }
    }

    fn find(&mut self) -> Result<Found, Error> {
        let mut seen = 0;
        loop {
            let window = self.feed.window();
            let end = memchr::memchr(b'\n', &window[seen..]).map(|end| seen + end);
            seen = end.unwrap_or(window.len());
            if seen > self.line_bytes_max {
                return self.skip_long(HEAD_BYTES.min(seen)).map(|length| Found::Long { length });
            }
            if let Some(end) = end {
                self.feed.consume(end + 1, 1);
                return Ok(Found::Line { length: end + 1, line_end: true });
            }
            if !self.feed.fill()? {
                self.feed.consume(seen, 0);
                return Ok(if seen == 0 {
                    Found::End
                } else {
                    Found::Line { length: seen, line_end: false }
                });
            }
        }
    }

    /// Consumes the line, holding none of it but its head, and tells its length without its end.
    fn skip_long(&mut self, head: usize) -> Result<u64, Error> {
        self.head.clear();
        self.head.extend_from_slice(&self.feed.window()[..head]);
        let mut length = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', self.feed.window()) {
                self.feed.consume(end + 1, 1);
                return Ok(length + end as u64);
            }
            length += self.feed.window().len() as u64;
            self.feed.consume(self.feed.window().len(), 0);
            if !self.feed.fill()? {
                return Ok(length);
            }
        }
    }
}

impl<'a> JsonLine<'a> {
    /// The line without its end.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Where it begins.
    #[must_use]
    pub fn start(&self) -> Position {
        self.start
    }

    /// Where it ends, behind its line end: the position to go on from.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }

    /// Whether a line end follows; the last line of a file may have none, and may then be one that is still written.
    #[must_use]
    pub fn has_line_end(&self) -> bool {
        self.line_end
    }
}
