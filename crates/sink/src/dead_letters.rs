use async_trait::async_trait;
use bytes::Bytes;
use standpipe_core::{DeadLetter, Error, LaneId, Reject};
use standpipe_row::render_json;

use crate::item::Item;

/// Keeps dead letters outside the target.
///
/// # Duties of an implementer
/// 1. `keep` returns only when the letters are durable: it is called before the commit they belong to.
/// 2. `trim` removes every letter of the lane at or above the position, durably: those belong to commits that never happened.
#[async_trait]
pub trait DeadLetterStore: Send + Sync + 'static {
    /// Makes the letters durable.
    ///
    /// # Errors
    /// What the store says; the commit is then not made.
    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), Error>;

    /// Removes letters whose commit never happened.
    ///
    /// # Errors
    /// What the store says; the lane is then not opened.
    async fn trim(&self, lane: &LaneId, from_position: u64) -> Result<(), Error>;
}

/// The dead letters of one lane's batch: rows that could not be encoded, and rows that the target refused.
pub(crate) fn of_batch(items: &[Item], rejects: &[Reject]) -> Vec<DeadLetter> {
    let mut letters = Vec::new();
    for (index, item) in items.iter().enumerate() {
        letters.extend(item.block.rejected.iter().map(|row| DeadLetter {
            line: item.block.origin.line_of(row.ordinal),
            column: row.column.clone(),
            code: None,
            reason: row.reason.clone(),
            row: row.raw.clone(),
            ..empty(item, row.ordinal)
        }));
        letters.extend(rejects.iter().filter(|reject| reject.block == index).map(|reject| {
            let ordinal = item.block.ordinal_of(reject.row);
            DeadLetter {
                line: item.block.origin.line_of(ordinal),
                column: reject.column.clone(),
                code: reject.code.clone(),
                reason: reject.reason.clone(),
                row: Bytes::from(render_json(&item.block, reject.row).unwrap_or_default()),
                ..empty(item, ordinal)
            }
        }));
    }
    letters
}

fn empty(item: &Item, ordinal: u32) -> DeadLetter {
    DeadLetter {
        lane: item.lane.id.clone(),
        position: item.start,
        ordinal,
        table: item.lane.destination.table.clone(),
        origin: item.block.origin.name.clone(),
        line: None,
        column: None,
        code: None,
        reason: String::new(),
        row: Bytes::new(),
    }
}
