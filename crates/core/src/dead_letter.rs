use std::sync::Arc;

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
