use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::{LaneId, TableName};

/// A row that did not reach its table, with all that is known about why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The lane.
    pub lane: LaneId,
    /// The position of the block that held the row (where it begins).
    pub position: u64,
    /// The row's place among all entries of the block, from 0. With lane and position it names the row for ever.
    pub ordinal: u32,
    /// The table it was meant for.
    pub table: TableName,
    /// The file or other source, empty where there is none to name.
    pub origin: Arc<str>,
    /// The line in it, from 1.
    pub line: Option<u64>,
    /// The column at fault, if one is.
    pub column: Option<String>,
    /// The database's own code, such as an SQLSTATE, where the database refused it.
    pub code: Option<String>,
    /// What was expected and what was there.
    pub reason: String,
    /// The row: as it came where it could not be read, as JSON where the database refused it.
    pub row: Bytes,
}

impl DeadLetter {
    /// What names it.
    #[must_use]
    pub fn id(&self) -> LetterId {
        LetterId { lane: self.lane.clone(), position: self.position, ordinal: self.ordinal }
    }
}

/// Names a dead letter for ever: the place of its row in its source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// The lane.
    pub lane: LaneId,
    /// The position of the block that held the row.
    pub position: u64,
    /// The row's place among all entries of the block.
    pub ordinal: u32,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} position {} entry {}", self.lane, self.position, self.ordinal)
    }
}

/// Which part of the dead letters to read, so that any number of them can be read in little memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPage {
    /// Those behind this one, which need not be there any more; `None` from the first.
    pub after: Option<LetterId>,
    /// How many at most.
    pub letters_max: u64,
    /// No further one once the rows read have as many bytes as this; one that is larger comes alone.
    pub bytes_max: u64,
}

impl LetterPage {
    /// The first letters, at most this many, whatever their size.
    #[must_use]
    pub fn first(letters_max: u64) -> Self {
        LetterPage { after: None, letters_max, bytes_max: u64::MAX }
    }
}
