use std::io::Read;

use csv_core::ReadRecordResult;
use standpipe_core::{Error, Schema};

use crate::csv_record::CsvRecord;
use crate::feed::{Feed, HEAD_BYTES, Position, Refused, skip_mark};

/// How a CSV file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvSettings {
    /// What stands between fields: one ASCII byte, no quote and no line end. A comma.
    pub delimiter: u8,
    /// The text that stands for NULL, quoted or not. The empty text: an empty field is NULL.
    pub null: Vec<u8>,
    /// The most bytes of a record. 16 MiB.
    pub record_bytes_max: usize,
}

impl Default for CsvSettings {
    fn default() -> Self {
        CsvSettings { delimiter: b',', null: Vec::new(), record_bytes_max: 16 << 20 }
    }
}

/// Reads the records of a CSV file (RFC 4180; LF, CRLF and CR end a line; lines without anything are skipped) one by
/// one, each with its bytes, its place and its line. Memory stays below about twice the longest record allowed,
/// whatever the file holds. Blocks as its reader blocks.
///
/// ```
/// use standpipe_row::{CsvEntry, CsvRows, CsvSettings};
///
/// # fn main() -> Result<(), standpipe_core::Error> {
/// let mut rows = CsvRows::new("id,name\n1,\"a, b\"\n".as_bytes(), CsvSettings::default())?;
/// assert_eq!(rows.read_header()?.unwrap(), ["id", "name"]);
/// while let Some(entry) = rows.read()? {
///     if let CsvEntry::Record(record) = entry {
///         assert_eq!(record.field(1), Some(&b"a, b"[..]));
///         assert_eq!(record.start().line, 2);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CsvRows<R> {
    feed: Feed<R>,
    settings: CsvSettings,
    core: csv_core::Reader,
    special: [bool; 256],
    /// Where each field of the record ends.
    ends: Vec<usize>,
    /// The fields of a record with quotes, behind each other.
    output: Vec<u8>,
    /// The beginning of an over-long record.
    head: Vec<u8>,
    begun: bool,
}

/// What comes next in a file.
#[derive(Debug)]
pub enum CsvEntry<'a> {
    /// A record.
    Record(CsvRecord<'a>),
    /// What is none: too long, or with a quote that is never closed.
    Refused(Refused<'a>),
}

/// What was found at the window's start, and consumed.
enum Found {
    End,
    Plain { length: usize, line_end: bool },
    Quoted { length: usize, output: usize, fields: usize, line_end: bool },
    Long { length: u64, closed: bool, fields: bool },
    Unclosed { length: usize },
}

/// A record with more fields is refused: no table has so many columns, and each costs memory.
const FIELDS_MAX: usize = Schema::COLUMNS_MAX;

/// What is kept of the room for a record with quotes.
const OUTPUT_KEPT_BYTES: usize = 1 << 20;

impl<R: Read> CsvRows<R> {
    /// Reads from the beginning of a file; a byte order mark is skipped.
    ///
    /// # Errors
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid) for a delimiter that cannot be one.
    pub fn new(reader: R, settings: CsvSettings) -> Result<Self, Error> {
        Self::resume(reader, settings, Position::START)
    }

    /// Reads on at a position where a record begins; `reader` stands there already.
    ///
    /// # Errors
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid) for a delimiter that cannot be one.
    pub fn resume(reader: R, settings: CsvSettings, position: Position) -> Result<Self, Error> {
        let delimiter = settings.delimiter;
        if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\n' | b'\r' | 0) {
            return Err(Error::invalid(format!(
                "{:?} cannot be a delimiter: it must be one ASCII character, no quote and no line end",
                char::from(delimiter)
            )));
        }
        let mut core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        // It looks for a byte order mark where it begins, and would take it out of a field later on.
        core.read_record(b"\n", &mut [], &mut []);
        let mut special = [false; 256];
        for byte in [delimiter, b'"', b'\n', b'\r'] {
            special[usize::from(byte)] = true;
        }
        Ok(CsvRows {
            feed: Feed::new(reader, position),
            settings,
            core,
            special,
            ends: Vec::new(),
            output: Vec::new(),
            head: Vec::new(),
            begun: false,
        })
    }

    /// Where the next record begins, or what is skipped before it.
    #[must_use]
    pub fn position(&self) -> Position {
        self.feed.position()
    }

    /// Whether a line end is among the bytes that came and were not read yet: then the next read need not wait for more,
    /// unless that line end is inside of quotes.
    #[must_use]
    pub fn has_line_at_hand(&self) -> bool {
        memchr::memchr(b'\n', self.feed.window()).is_some()
    }

    /// The bytes of memory that are held at present.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.feed.capacity_bytes() + self.output.capacity() + self.head.capacity() + self.ends.capacity() * 8
    }

    /// Reads the next record as the names of columns; `None` in an empty file.
    ///
    /// # Errors
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid) when it cannot be that; else as [`read`](Self::read).
    pub fn read_header(&mut self) -> Result<Option<Vec<String>>, Error> {
        match self.read()? {
            None => Ok(None),
            Some(CsvEntry::Refused(refused)) => {
                Err(Error::invalid(format!("the header: {}", refused.reason)))
            }
            Some(CsvEntry::Record(record)) => record
                .fields()
                .enumerate()
                .map(|(index, field)| match std::str::from_utf8(field) {
                    Ok(name) => Ok(name.to_owned()),
                    Err(_) => Err(Error::invalid(format!(
                        "the header: the name of column {} is no UTF-8 (is this a text file?)",
                        index + 1
                    ))),
                })
                .collect::<Result<_, _>>()
                .map(Some),
        }
    }

    /// Skips to behind the next line end, for a reader that was set down anywhere in a file. What is there may still be
    /// the inside of a quoted field.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn skip_line(&mut self) -> Result<(), Error> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', self.feed.window()) {
                self.feed.consume(end + 1, 1);
                return Ok(());
            }
            self.feed.consume(self.feed.window().len(), 0);
            if !self.feed.fill()? {
                return Ok(());
            }
        }
    }

    /// Reads the next entry; `None` at the end.
    ///
    /// # Errors
    /// What the reader says: [`Corrupt`](standpipe_core::ErrorKind::Corrupt) when what it reads is damaged or cut,
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid) otherwise, and for UTF-16.
    #[inline]
    pub fn read(&mut self) -> Result<Option<CsvEntry<'_>>, Error> {
        self.skip_blank()?;
        let start = self.feed.position();
        let found = self.find()?;
        let end = self.feed.position();
        Ok(Some(match found {
            Found::End => return Ok(None),
            Found::Plain { length, line_end } => {
                let raw = self.feed.consumed(length);
                CsvEntry::Record(CsvRecord { raw, data: raw, ends: &self.ends, gap: 1, start, end, line_end })
            }
            Found::Quoted { length, output, fields, line_end } => CsvEntry::Record(CsvRecord {
                raw: self.feed.consumed(length),
                data: &self.output[..output],
                ends: &self.ends[..fields],
                gap: 0,
                start,
                end,
                line_end,
            }),
            Found::Long { length, closed, fields } => CsvEntry::Refused(Refused {
                start,
                end,
                reason: self.long_reason(start, length, closed, fields),
                raw: &self.head,
            }),
            Found::Unclosed { length } => CsvEntry::Refused(Refused {
                start,
                end,
                reason: unclosed_reason(start),
                raw: self.feed.consumed(length),
            }),
        }))
    }

    #[inline]
    fn skip_blank(&mut self) -> Result<(), Error> {
        if !self.begun {
            self.begun = true;
            if self.feed.position().offset == 0 {
                skip_mark(&mut self.feed)?;
            }
        }
        loop {
            match self.feed.window().first().copied() {
                None if !self.feed.fill()? => return Ok(()),
                None => {}
                Some(b'\n') => self.feed.consume(1, 1),
                Some(b'\r') => {
                    self.feed.fill_to(2)?;
                    let length = if self.feed.window().starts_with(b"\r\n") { 2 } else { 1 };
                    self.feed.consume(length, 1);
                }
                Some(_) => return Ok(()),
            }
        }
    }

    /// Finds a record without quotes where it lies. With the first quote that opens a field, `csv-core` takes over.
    #[inline]
    fn find(&mut self) -> Result<Found, Error> {
        self.ends.clear();
        let mut at = 0;
        loop {
            let window = self.feed.window();
            let end = loop {
                let Some(&byte) = window.get(at) else { break None };
                if !self.special[usize::from(byte)] {
                    at += 1;
                } else if byte == self.settings.delimiter {
                    if self.ends.len() == FIELDS_MAX {
                        return self.find_quoted();
                    }
                    self.ends.push(at);
                    at += 1;
                } else if byte == b'\n' {
                    break Some(1);
                } else if byte == b'\r' {
                    match window.get(at + 1) {
                        Some(b'\n') => break Some(2),
                        Some(_) => break Some(1),
                        None => break None,
                    }
                } else if at == 0 || window[at - 1] == self.settings.delimiter {
                    return self.find_quoted();
                } else {
                    at += 1;
                }
            };
            if at > self.settings.record_bytes_max {
                return self.find_quoted();
            }
            if let Some(line_end) = end {
                return Ok(self.found_plain(at, line_end));
            }
            if !self.feed.fill()? {
                let rest = self.feed.window().len();
                return Ok(if rest == 0 { Found::End } else { self.found_plain(at, rest - at) });
            }
        }
    }

    #[inline]
    fn found_plain(&mut self, data: usize, line_end: usize) -> Found {
        self.ends.push(data);
        self.feed.consume(data + line_end, u64::from(line_end > 0));
        Found::Plain { length: data + line_end, line_end: line_end > 0 }
    }

    fn find_quoted(&mut self) -> Result<Found, Error> {
        if self.output.len() > OUTPUT_KEPT_BYTES {
            // One huge record must not keep its room for ever.
            self.output = Vec::new();
        }
        self.output.resize(self.output.len().max(4 << 10), 0);
        self.ends.resize(self.ends.capacity().clamp(64, FIELDS_MAX), 0);
        let (mut at, mut output, mut fields) = (0, 0, 0);
        let line_end = loop {
            let window = &self.feed.window()[at..];
            let at_end = window.is_empty() && at <= self.settings.record_bytes_max && !self.feed.fill()?;
            let input = if at_end { b"\n" } else { &self.feed.window()[at..] };
            if at > self.settings.record_bytes_max {
                return self.skip_long(at, false);
            }
            let allowed = input.len().min(self.settings.record_bytes_max + 1 - at);
            let (result, read, written, ended) = self.core.read_record(
                &input[..allowed],
                &mut self.output[output..],
                &mut self.ends[fields..],
            );
            at += if at_end { 0 } else { read };
            output += written;
            fields += ended;
            match result {
                ReadRecordResult::InputEmpty if at_end => {
                    self.feed.consume_counting(at);
                    return Ok(Found::Unclosed { length: at });
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
                ReadRecordResult::OutputFull => self.output.resize(self.output.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() == FIELDS_MAX => {
                    return self.skip_long(at, true);
                }
                ReadRecordResult::OutputEndsFull => {
                    self.ends.resize((self.ends.len() * 2).min(FIELDS_MAX), 0)
                }
                ReadRecordResult::Record => break !at_end,
            }
        };
        let mut lines = 0;
        if line_end && self.feed.window()[at - 1] == b'\r' {
            // The other half of the line end.
            self.feed.fill_to(at + 1)?;
            match self.feed.window().get(at) {
                Some(b'\n') => at += 1,
                _ => lines = 1,
            }
        }
        self.feed.consume_counting(at);
        self.feed.consume(0, lines);
        Ok(Found::Quoted { length: at, output, fields, line_end })
    }

    /// Goes to the end of a record of which `csv-core` has seen `at` bytes, holding none of it but its head.
    #[cold]
    fn skip_long(&mut self, at: usize, fields: bool) -> Result<Found, Error> {
        self.head.clear();
        self.head.extend_from_slice(&self.feed.window()[..at.min(HEAD_BYTES)]);
        self.output = vec![0; 4 << 10];
        self.ends.resize(64, 0);
        self.feed.consume_counting(at);
        let mut length = at as u64;
        loop {
            let at_end = self.feed.window().is_empty() && !self.feed.fill()?;
            let input = if at_end { b"\n" } else { self.feed.window() };
            let (result, read, ..) = self.core.read_record(input, &mut self.output, &mut self.ends);
            let last = input.get(read.wrapping_sub(1)).copied();
            if !at_end {
                self.feed.consume_counting(read);
                length += read as u64;
            }
            match result {
                ReadRecordResult::Record => {
                    if last == Some(b'\r') {
                        self.feed.fill_to(1)?;
                        let pair = self.feed.window().first() == Some(&b'\n');
                        self.feed.consume(usize::from(pair), 1);
                    }
                    return Ok(Found::Long { length, closed: true, fields });
                }
                _ if at_end && read == 1 => return Ok(Found::Long { length, closed: false, fields }),
                _ => {}
            }
        }
    }

    #[cold]
    fn long_reason(&self, start: Position, length: u64, closed: bool, fields: bool) -> String {
        if fields {
            return format!(
                "the record that begins on line {} has more than {FIELDS_MAX} fields",
                start.line
            );
        }
        let cause =
            if closed { "is a quote unclosed?" } else { "a quote is not closed up to the end of the file" };
        format!(
            "the record that begins on line {} has {length} bytes, the limit is {}; {cause}",
            start.line, self.settings.record_bytes_max
        )
    }
}

#[cold]
fn unclosed_reason(start: Position) -> String {
    format!(
        "a quote is not closed: the record that begins on line {} goes on to the end of the file",
        start.line
    )
}
