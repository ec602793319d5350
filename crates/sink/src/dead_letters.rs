use async_trait::async_trait;
use bytes::Bytes;
use standpipe_core::{Block, DeadLetter, Error, ErrorKind, LaneId, Reject};
use standpipe_row::Tuples;

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
///
/// # Errors
/// A target that names rows it was not given: going on would lose those it meant.
pub(crate) fn of_batch(items: &[&Item], rejects: &[Reject]) -> Result<Vec<DeadLetter>, Error> {
    let mut letters = Vec::new();
    let mut rejects = rejects.iter().peekable();
    let mut index = 0;
    for item in items {
        // The place of a block's first entry among those of its item.
        let mut base = 0;
        for block in &item.blocks {
            let from = letters.len();
            letters.extend(block.rejected.iter().map(|row| DeadLetter {
                column: row.column.clone(),
                reason: row.reason.clone(),
                row: row.raw.clone(),
                ..empty(item, block, base, row.ordinal)
            }));
            if rejects.peek().is_some_and(|reject| reject.block == index) {
                for (row, tuple) in (0..).zip(Tuples::new(block)) {
                    let Some(reject) = rejects.next_if(|reject| (reject.block, reject.row) == (index, row))
                    else {
                        continue;
                    };
                    letters.push(DeadLetter {
                        column: reject.column.clone(),
                        code: reject.code.clone(),
                        reason: reject.reason.clone(),
                        row: Bytes::from(tuple.and_then(|tuple| tuple.render_json()).unwrap_or_default()),
                        ..empty(item, block, base, block.ordinal_of(row))
                    });
                }
            }
            letters[from..].sort_by_key(|letter| letter.ordinal);
            base += block.entries() as u32;
            index += 1;
        }
    }
    match rejects.next() {
        None => Ok(letters),
        Some(reject) => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "the target refused row {} of block {} (or named rows out of order), which it was not given: {}",
                reject.row, reject.block, reject.reason
            ),
        )),
    }
}

fn empty(item: &Item, block: &Block, base: u32, ordinal: u32) -> DeadLetter {
    DeadLetter {
        lane: item.lane.id.clone(),
        position: item.start,
        ordinal: base + ordinal,
        table: item.lane.destination.table.clone(),
        origin: block.origin.name.clone(),
        line: block.origin.line_of(ordinal),
        column: None,
        code: None,
        reason: String::new(),
        row: Bytes::new(),
    }
}
