//! What the sink writes into the log: one record a block, behind a header that says where it belongs.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | reserved, 0 |
//! | 2 | length of the source position, big-endian |
//! | 4 | number of the stream in this log |
//! | 4 | lane |
//! | n | source position, UTF-8 |
//! | .. | the block, as `standpipe-row` lays it down |

use std::sync::Arc;

use bytes::Bytes;
use standpipe_core::{Block, Error, ErrorKind, Schema, SchemaId};
use standpipe_row::{decode as decode_block, encode_header};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 12;

/// The longest source position, in bytes.
pub(crate) const SOURCE_POSITION_BYTES_MAX: usize = 1024;

/// A record's header, read without touching its block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) stream: u32,
    pub(crate) lane: u32,
}

/// Lays down everything of a record but the tuples, which follow as they are.
pub(crate) fn encode(stream: u32, lane: u32, source_position: &str, block: &Block, out: &mut Vec<u8>) {
    debug_assert!(source_position.len() <= SOURCE_POSITION_BYTES_MAX);
    out.clear();
    out.extend_from_slice(&[VERSION, 0]);
    out.extend_from_slice(&(source_position.len() as u16).to_be_bytes());
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&lane.to_be_bytes());
    out.extend_from_slice(source_position.as_bytes());
    encode_header(block, out);
}

/// Where a record belongs.
pub(crate) fn address(record: &[u8]) -> Result<Address, Error> {
    let header: &[u8; HEADER_BYTES] = record.first_chunk().ok_or_else(|| corrupt("it is too short"))?;
    if header[0] != VERSION {
        return Err(corrupt(&format!("it has version {}, this build reads {VERSION}", header[0])));
    }
    Ok(Address {
        stream: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        lane: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
    })
}

/// The source position and the block of a record. The tuples stay where they are.
pub(crate) fn decode(
    record: &Bytes,
    schema: impl FnMut(SchemaId) -> Option<Arc<Schema>>,
) -> Result<(Arc<str>, Block), Error> {
    address(record)?;
    let length = usize::from(u16::from_be_bytes([record[2], record[3]]));
    let text = record
        .get(HEADER_BYTES..HEADER_BYTES + length)
        .ok_or_else(|| corrupt("its source position is cut"))?;
    let text = std::str::from_utf8(text).map_err(|_| corrupt("its source position is no text"))?;
    let block = decode_block(record.slice(HEADER_BYTES + length..), schema)?;
    Ok((Arc::from(text), block))
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a record of the log is none of a sink's: {what}"))
}
