use std::fmt;

use crate::{LogError, Lsn, Reader, Record, Ticket};

/// The identity of a log: 128 random bits drawn when the log was made, kept for its life.
///
/// A ledger that remembers it recognises a fresh or foreign log directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(pub u128);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}

/// An append-only sequence of records that survives a crash.
///
/// # Duties of an implementer
/// 1. **Order.** Numbers are given in the order in which the records lie in the log.
/// 2. **No number twice.** Not after a crash, not for a record that was never acknowledged but may have been read.
/// 3. **Durable means durable.** What a ticket resolved is read back after kill -9, and after power loss if the log's
///    durability says so.
/// 4. **All or none.** The records of one `append_batch` are all read back after a crash, or none is.
/// 5. **One failed sync ends it.** Nothing that waits or comes later is acknowledged; opening anew recovers what is
///    provably on disk.
/// 6. **A torn tail is cut, damage is reported.** Above the proven point: cut. Below: [`LogError::Corrupt`].
/// 7. **Truncation keeps what it was told to keep**: every record at or above the given number, and every pin.
/// 8. **Pins.** The latest value of each key is there after any number of truncations and reopenings, and a pin made
///    before a record is readable wherever that record is. A ticket of a pin resolves when the pin is durable.
/// 9. **One owner.** A second opener of the same place is refused by name.
/// 10. **Limits.** A record above the size limit is refused with both sizes; a full disk refuses the append and leaves
///     the log usable once there is room.
pub trait Log: Send + Sync + 'static {
    /// What an append hands back.
    type Ticket: Ticket;
    /// What follows the log.
    type Reader: Reader;

    /// The identity drawn when this log was made.
    fn identity(&self) -> LogId;

    /// Appends one record and returns at once with a ticket; does not wait for the disk unless the log's own queue
    /// is full.
    ///
    /// # Errors
    /// [`LogError::TooLarge`], [`LogError::Full`], [`LogError::Poisoned`], [`LogError::Closed`]; nothing was appended.
    fn append(&self, record: Record<'_>) -> Result<Self::Ticket, LogError>;

    /// Appends several records, all or none of which survive a crash. The ticket carries the last one's number.
    ///
    /// # Errors
    /// As [`append`](Log::append); [`LogError::Invalid`] for an empty batch.
    fn append_batch(&self, records: &[Record<'_>]) -> Result<Self::Ticket, LogError>;

    /// Keeps `value` under `key` for the life of the log, in place of an older value: it is restated wherever
    /// truncation would lose it. An empty value removes the key. Takes no record number.
    ///
    /// # Errors
    /// As [`append`](Log::append).
    fn pin(&self, key: &[u8], value: &[u8]) -> Result<Self::Ticket, LogError>;

    /// Every pinned key and its latest value, ordered by key.
    fn pinned(&self) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// The lowest number that can still be read; equal to [`end`](Log::end) when there is none.
    fn start(&self) -> Lsn;

    /// The number that the next record will get.
    fn end(&self) -> Lsn;

    /// Everything below this number is durable.
    fn durable_end(&self) -> Lsn;

    /// A reader that starts at `from`, or at the first record above it where `from` lies in a gap.
    ///
    /// # Errors
    /// [`LogError::Truncated`] when records from `from` on were removed; [`LogError::Io`].
    fn follow(&self, from: Lsn) -> Result<Self::Reader, LogError>;

    /// Allows every record below `lsn` to be removed. What is removed, and when, is the log's choice. A reader's place does not
    /// hold it back.
    ///
    /// # Errors
    /// [`LogError::Io`]; nothing above `lsn` is ever lost by a failure.
    fn truncate_before(&self, lsn: Lsn) -> Result<(), LogError>;

    /// Makes sure that no record gets a number below `lsn`; does nothing when the end is there already.
    ///
    /// # Errors
    /// As [`append`](Log::append).
    fn advance_to(&self, lsn: Lsn) -> Result<(), LogError>;

    /// The space that the log takes on disk, in bytes.
    fn size_bytes(&self) -> u64;

    /// Makes everything appended durable and stops the log. Blocks. Idempotent.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] when the last of it could not be made durable.
    fn close(&self) -> Result<(), LogError>;
}
