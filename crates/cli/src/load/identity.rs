//! How a file is known again: by what it begins with, and by its last record before the position.

use serde::{Deserialize, Serialize};
use standpipe::{SourceId, core::LedgerRow};
use xxhash_rust::xxh3::Xxh3;

use super::input::InputFile;
use crate::exit::Failure;

/// Bytes at the beginning of a file that its fingerprint covers.
const HEAD_BYTES: u64 = 64 << 10;

/// The longest last record that is compared on resuming.
pub(crate) const TAIL_BYTES_MAX: usize = 4096;

/// What a file's load remembers about its position, in the ledger's `source_position`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilePosition {
    /// Records before the position, the header not counted.
    pub(crate) records: u64,
    /// Line of the first record after the position.
    pub(crate) line: u64,
    /// Length of the last record before the position, at most `TAIL_BYTES_MAX`, and the hash of those bytes.
    pub(crate) tail: Option<(u32, String)>,
    /// Standard input: the hash of the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<String>,
    /// The last record had no line end: a file that grows from here may have changed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) open_end: bool,
    /// The key that says which row goes into which lane, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) key: Vec<String>,
    /// The file's size on disk, once all of it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
}

impl FilePosition {
    pub(crate) fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// The hash of a last record.
pub(crate) fn tail_of(record: &[u8]) -> (u32, String) {
    let tail = &record[record.len().saturating_sub(TAIL_BYTES_MAX)..];
    (tail.len() as u32, format!("{:016x}", xxhash_rust::xxh3::xxh3_64(tail)))
}

/// Names a file by its first bytes: `file:LENGTH:HASH`. Where the ledger names a shorter beginning, because the file was shorter then,
/// and the file still has it, that name is kept. Of a damaged file the beginning is what can be unpacked of it.
pub(crate) fn source_of(file: &InputFile, ledger: &[LedgerRow]) -> Result<SourceId, Failure> {
    let (head, _) = file.head(HEAD_BYTES)?;
    let known = ledger.first().map(|row| row.source.as_str());
    let length = known.and_then(length_of).filter(|length| *length <= head.len()).unwrap_or(head.len());
    let name = name_of(&head[..length]);
    Ok(SourceId::new(if Some(name.as_str()) == known { name } else { name_of(&head) })?)
}

fn name_of(head: &[u8]) -> String {
    let mut hash = Xxh3::new();
    hash.update(head);
    format!("file:{}:{:032x}", head.len(), hash.digest128())
}

fn length_of(source: &str) -> Option<usize> {
    source.strip_prefix("file:")?.split(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_back_and_stay_short() {
        let position = FilePosition {
            records: u64::MAX,
            line: u64::MAX,
            tail: Some(tail_of(&[b'x'; 10_000])),
            first: None,
            key: Vec::new(),
            open_end: true,
            size: Some(u64::MAX),
        };
        let text = position.encode();
        assert!(text.len() < 256, "{text}");
        assert_eq!(FilePosition::decode(&text), Some(position));
        assert_eq!(FilePosition::decode("nonsense"), None);
    }

    #[test]
    fn the_length_is_part_of_the_name() {
        assert_eq!(length_of(&name_of(b"abc")), Some(3));
        assert_eq!(length_of("log:1"), None);
        assert_ne!(name_of(b"abc"), name_of(b"abd"));
    }
}
