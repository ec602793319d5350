/// How much an item counts: rows for the batch size, bytes for memory.
///
/// Bytes are the real ones the item keeps in memory, not an estimate per row: a row of a megabyte counts a megabyte.
/// Sums saturate at `u64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    /// Number of rows.
    pub rows: u64,
    /// Number of bytes.
    pub bytes: u64,
}

/// Something that waits in a lane and knows its weight.
pub trait Weigh {
    /// The item's weight. It is read once, when the item is pushed, outside of any lock.
    fn weight(&self) -> Weight;
}

impl Weight {
    /// No rows, no bytes.
    pub const ZERO: Self = Self { rows: 0, bytes: 0 };

    pub(crate) fn add(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_add(other.rows), bytes: self.bytes.saturating_add(other.bytes) }
    }

    pub(crate) fn sub(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_sub(other.rows), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}
