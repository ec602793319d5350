//! Blocks as bytes: a header, and behind it the tuples as they are. The byte table is in `docs/formats.md`.

use std::sync::Arc;

use bytes::Bytes;
use standpipe_core::{Block, Error, ErrorKind, Lines, Origin, RejectedRow, Schema, SchemaId};

const VERSION: u8 = 1;
const TRUNCATE: u8 = 1;
const LINES: u8 = 2;
const NO_COLUMN: u16 = u16::MAX;
/// What every header has: the fields of fixed length and the checksum.
const HEADER_BYTES_MIN: usize = FIXED_BYTES + CHECKSUM_BYTES;
const FIXED_BYTES: usize = 44;
const CHECKSUM_BYTES: usize = 4;
const REJECTED_BYTES_MIN: usize = 14;

/// Appends everything of a block but its tuples: a record of a log is this header and then `block.tuples`, which need
/// not be copied for it.
pub fn encode_header(block: &Block, out: &mut Vec<u8>) {
    let start = out.len();
    let lines: &[u32] = match &block.origin.lines {
        Lines::Consecutive => &[],
        Lines::Each(lines) => lines,
    };
    let each = matches!(block.origin.lines, Lines::Each(_));
    let name = cut(&block.origin.name, usize::from(u16::MAX));
    out.extend_from_slice(&[VERSION, u8::from(block.truncate) * TRUNCATE + u8::from(each) * LINES]);
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&block.schema.id().0.to_be_bytes());
    out.extend_from_slice(&block.rows.to_be_bytes());
    out.extend_from_slice(&(block.rejected.len() as u32).to_be_bytes());
    out.extend_from_slice(&(block.tuples.len() as u64).to_be_bytes());
    out.extend_from_slice(&block.origin.first_line.to_be_bytes());
    out.extend_from_slice(&(lines.len() as u32).to_be_bytes());
    debug_assert_eq!(out.len() - start, FIXED_BYTES);
    out.extend_from_slice(name.as_bytes());
    for line in lines {
        out.extend_from_slice(&line.to_be_bytes());
    }
    for rejected in &block.rejected {
        encode_rejected(rejected, out);
    }
    let length = out.len() - start + CHECKSUM_BYTES;
    out[start + 4..start + 8].copy_from_slice(&(length as u32).to_be_bytes());
    let checksum = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

/// The block of a header and the tuples behind it. The tuples and the raw bytes of rejected rows are slices of
/// `bytes`: nothing of them is copied. The header's checksum is verified, and every length before it is used; the
/// tuples are checked by [`Tuples`](crate::Tuples) when they are read. `lookup` finds the schema.
///
/// # Errors
/// [`Corrupt`](ErrorKind::Corrupt) for bytes that are no block, or a schema that `lookup` does not know;
/// [`Invalid`](ErrorKind::Invalid) for a version that this program does not know.
pub fn decode(bytes: Bytes, mut lookup: impl FnMut(SchemaId) -> Option<Arc<Schema>>) -> Result<Block, Error> {
    match bytes.first() {
        Some(&VERSION) => {}
        Some(version) => {
            return Err(Error::invalid(format!(
                "a block of format version {version}; this program reads version {VERSION}"
            )));
        }
        None => return Err(damaged("it is empty")),
    }
    let header_bytes = header_bytes(&bytes)?;
    let mut header = Cursor { bytes: &bytes, at: 1, end: header_bytes - CHECKSUM_BYTES };
    let flags = header.u8()?;
    if flags & !(TRUNCATE | LINES) != 0 {
        return Err(damaged("unknown flags"));
    }
    let name_bytes = usize::from(header.u16()?);
    header.u32()?;
    let id = SchemaId(header.u64()?);
    let rows = header.u32()?;
    let rejected_rows = header.u32()?;
    let tuples_bytes = header.u64()?;
    let first_line = header.u64()?;
    let line_count = header.u32()?;
    let name =
        std::str::from_utf8(&bytes[header.take(name_bytes)?]).map_err(|_| damaged("the origin's name"))?;
    let entries = u64::from(rows) + u64::from(rejected_rows);
    let lines = if flags & LINES == 0 {
        if line_count != 0 {
            return Err(damaged("lines without their flag"));
        }
        Lines::Consecutive
    } else if u64::from(line_count) == entries {
        let lines = &bytes[header.take_each(line_count, 4)?];
        Lines::Each(lines.as_chunks::<4>().0.iter().map(|line| u32::from_be_bytes(*line)).collect())
    } else {
        return Err(damaged("the number of its lines"));
    };
    let rejected = decode_rejected(&mut header, rejected_rows, entries)?;
    if header.at != header.end {
        return Err(damaged("its header is longer than what it holds"));
    }
    if tuples_bytes != (bytes.len() - header_bytes) as u64 {
        return Err(damaged("the length of its tuples"));
    }
    let schema = lookup(id).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("a block names the schema {:016x}, which nothing tells", id.0))
    })?;
    if schema.id() != id {
        return Err(damaged("its schema is another"));
    }
    // A tuple is its count and a length for each column at least; the exact count shows when they are read.
    let tuple_bytes_min = 2 + 4 * schema.columns().len() as u64;
    if u64::from(rows) * tuple_bytes_min > tuples_bytes || (rows == 0) != (tuples_bytes == 0) {
        return Err(damaged("the number of its tuples"));
    }
    let origin = Origin { name: Arc::from(name), first_line, lines };
    let tuples = bytes.slice(header_bytes..);
    Ok(Block { schema, rows, tuples, rejected, origin, truncate: flags & TRUNCATE != 0 })
}

fn header_bytes(bytes: &[u8]) -> Result<usize, Error> {
    let told = bytes.get(4..).and_then(<[u8]>::first_chunk::<4>);
    let length = told.map(|length| u32::from_be_bytes(*length) as usize);
    let Some(header) =
        length.filter(|length| *length >= HEADER_BYTES_MIN).and_then(|length| bytes.get(..length))
    else {
        return Err(damaged("the length of its header"));
    };
    match header.split_last_chunk::<CHECKSUM_BYTES>() {
        Some((head, checksum)) if crc32c::crc32c(head) == u32::from_be_bytes(*checksum) => Ok(header.len()),
        _ => Err(damaged("the checksum of its header")),
    }
}

fn encode_rejected(rejected: &RejectedRow, out: &mut Vec<u8>) {
    let column = rejected.column.as_deref().map(|column| cut(column, usize::from(NO_COLUMN) - 1));
    out.extend_from_slice(&rejected.ordinal.to_be_bytes());
    out.extend_from_slice(&column.map_or(NO_COLUMN, |column| column.len() as u16).to_be_bytes());
    out.extend_from_slice(&(rejected.reason.len() as u32).to_be_bytes());
    out.extend_from_slice(&(rejected.raw.len() as u32).to_be_bytes());
    out.extend_from_slice(column.unwrap_or_default().as_bytes());
    out.extend_from_slice(rejected.reason.as_bytes());
    out.extend_from_slice(&rejected.raw);
}

fn decode_rejected(header: &mut Cursor<'_>, count: u32, entries: u64) -> Result<Vec<RejectedRow>, Error> {
    if count as usize > (header.end - header.at) / REJECTED_BYTES_MIN {
        return Err(damaged("the number of its rejected rows"));
    }
    let mut rejected: Vec<RejectedRow> = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let ordinal = header.u32()?;
        let in_order = rejected.last().is_none_or(|last| last.ordinal < ordinal);
        if !in_order || u64::from(ordinal) >= entries {
            return Err(damaged("the order of its rejected rows"));
        }
        let column_bytes = header.u16()?;
        let reason_bytes = header.u32()? as usize;
        let raw_bytes = header.u32()? as usize;
        let column = match column_bytes {
            NO_COLUMN => None,
            length => Some(header.text(usize::from(length))?),
        };
        let reason = header.text(reason_bytes)?;
        let raw = header.bytes.slice(header.take(raw_bytes)?);
        rejected.push(RejectedRow { ordinal, column, reason, raw });
    }
    Ok(rejected)
}

/// Reads the header, never beyond its end.
struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
    end: usize,
}

impl Cursor<'_> {
    fn take(&mut self, length: usize) -> Result<std::ops::Range<usize>, Error> {
        if length > self.end - self.at {
            return Err(damaged("a length within its header"));
        }
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    fn take_each(&mut self, count: u32, length: usize) -> Result<std::ops::Range<usize>, Error> {
        let length =
            (count as usize).checked_mul(length).ok_or_else(|| damaged("a length within its header"))?;
        self.take(length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let range = self.take(N)?;
        self.bytes[range].try_into().map_err(|_| damaged("a length within its header"))
    }

    fn text(&mut self, length: usize) -> Result<String, Error> {
        let range = self.take(length)?;
        let text =
            std::str::from_utf8(&self.bytes[range]).map_err(|_| damaged("a text within its header"))?;
        Ok(text.to_owned())
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }
}

/// The text, cut at a character's end so that it has at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cold]
fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the block is damaged: {what}"))
}
