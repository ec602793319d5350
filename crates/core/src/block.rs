use std::sync::Arc;

use bytes::Bytes;

use crate::Schema;

/// Rows that were encoded once and are never touched again on their way: logged, held and sent as they are.
///
/// `tuples` is PostgreSQL's COPY BINARY tuple layout without file header and trailer: for each row an `i16` number of
/// fields, then for each field an `i32` length (-1 is NULL) and that many bytes; all big-endian, widths as the
/// schema's types say. Rows that could not be encoded travel beside, as `rejected`, so that a log keeps them too.
/// Cloning copies no bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// What the tuples hold.
    pub schema: Arc<Schema>,
    /// The number of tuples.
    pub rows: u32,
    /// The tuples.
    pub tuples: Bytes,
    /// Rows that could not be encoded, in the order of their ordinals.
    pub rejected: Vec<RejectedRow>,
    /// Where the rows came from, for messages and dead letters.
    pub origin: Origin,
    /// The table is to be emptied before the first row of this block is written, in the same transaction.
    pub truncate: bool,
}

impl Block {
    /// The size in bytes that budgets and limits count.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let rejected: usize = self.rejected.iter().map(RejectedRow::size_bytes).sum();
        let lines = match &self.origin.lines {
            Lines::Each(lines) => lines.len() * 4,
            Lines::Consecutive => 0,
        };
        (self.tuples.len() + rejected + lines + 64) as u64
    }

    /// Tuples and rejected rows together.
    #[must_use]
    pub fn entries(&self) -> u64 {
        u64::from(self.rows) + self.rejected.len() as u64
    }

    /// The entry that tuple `row` (from 0) is, counting the rejected rows before it.
    #[must_use]
    pub fn ordinal_of(&self, row: u32) -> u32 {
        let mut ordinal = row;
        for rejected in &self.rejected {
            if rejected.ordinal > ordinal {
                break;
            }
            ordinal += 1;
        }
        ordinal
    }
}

/// A row that could not be encoded, with why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its place among all entries of the block, from 0.
    pub ordinal: u32,
    /// The column at fault, if one is.
    pub column: Option<String>,
    /// What was expected and what was there.
    pub reason: String,
    /// The row as it came, cut to a length that dead letters can hold.
    pub raw: Bytes,
}

impl RejectedRow {
    /// Bytes that a rejected row counts besides its texts: itself, its allocations, and the dead letter that it becomes,
    /// which is in memory at the same time.
    pub const OVERHEAD_BYTES: usize = 768;

    fn size_bytes(&self) -> usize {
        Self::OVERHEAD_BYTES
            + self.column.as_ref().map_or(0, String::len)
            + self.reason.len()
            + self.raw.len()
    }
}

/// Where a block's rows came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file or other source, empty where there is none to name.
    pub name: Arc<str>,
    /// The line of the first entry, from 1; 0 where lines mean nothing.
    pub first_line: u64,
    /// The lines of the further entries.
    pub lines: Lines,
}

impl Origin {
    /// Rows that were made by the program itself.
    #[must_use]
    pub fn none() -> Self {
        Origin { name: Arc::from(""), first_line: 0, lines: Lines::Consecutive }
    }

    /// The line of an entry, by its ordinal; `None` where lines mean nothing.
    #[must_use]
    pub fn line_of(&self, ordinal: u32) -> Option<u64> {
        if self.first_line == 0 {
            return None;
        }
        match &self.lines {
            Lines::Consecutive => Some(self.first_line + u64::from(ordinal)),
            Lines::Each(lines) => lines.get(ordinal as usize).map(|line| self.first_line + u64::from(*line)),
        }
    }
}

/// The lines of a block's entries, relative to its first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines {
    /// One line an entry, without a gap.
    Consecutive,
    /// Each entry's distance from the first line.
    Each(Arc<[u32]>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Type};

    #[test]
    fn a_tuple_knows_its_line_behind_rejected_rows() {
        let rejected =
            |ordinal| RejectedRow { ordinal, column: None, reason: String::new(), raw: Bytes::new() };
        let block = Block {
            schema: Arc::new(Schema::new(vec![Column::new("a", Type::Int8)]).unwrap()),
            rows: 3,
            tuples: Bytes::new(),
            rejected: vec![rejected(0), rejected(2)],
            origin: Origin { name: Arc::from("f"), first_line: 10, lines: Lines::Consecutive },
            truncate: false,
        };
        let ordinals: Vec<u32> = (0..3).map(|row| block.ordinal_of(row)).collect();
        assert_eq!(ordinals, [1, 3, 4]);
        assert_eq!(block.origin.line_of(3), Some(13));
        assert_eq!(block.entries(), 5);
        assert_eq!(Origin::none().line_of(0), None);
    }
}
