//! The rows of a batch as they are sent: numbered through, and cut anywhere between two.

use std::ops::Range;

use bytes::Bytes;
use standpipe_core::{Block, Error, Reject};
use standpipe_row::Tuples;

use crate::{
    convert::{self, Converted},
    plan::{Form, Plan},
};

/// Rows of blocks of one schema. Rows that cannot be converted are left out, and named.
pub(crate) struct Rows {
    pieces: Vec<Piece>,
    pub(crate) rejects: Vec<Reject>,
}

/// What is sent of one block.
struct Piece {
    /// The block within the batch.
    block: usize,
    /// The number of its first row, among those that are sent.
    first: u32,
    rows: u32,
    bytes: Bytes,
    /// Which rows of the block they are, unless they are all of them.
    numbers: Option<Vec<u32>>,
    /// Where each row begins, and where the last one ends; looked for when it is needed.
    starts: Option<Vec<u32>>,
}

impl Rows {
    /// The rows of these blocks, the first of which is number `first_block` of its batch. `numbered`: each has its number behind
    /// its values.
    pub(crate) fn of(
        blocks: &[Block],
        first_block: usize,
        plan: &Plan,
        numbered: bool,
    ) -> Result<Self, Error> {
        let mut rows = Rows { pieces: Vec::with_capacity(blocks.len()), rejects: Vec::new() };
        for (block, number) in blocks.iter().zip(first_block..) {
            let first = rows.count();
            let piece = match plan.form {
                Form::Untouched if !numbered && are_kept(block, plan)? => Piece {
                    block: number,
                    first,
                    rows: block.rows,
                    bytes: block.tuples.clone(),
                    numbers: None,
                    starts: None,
                },
                Form::Untouched | Form::Binary | Form::Text => {
                    let numbers_from = numbered.then_some(first);
                    let Converted { bytes, starts, numbers } =
                        convert::block(block, number, plan, numbers_from, &mut rows.rejects)?;
                    let count = starts.len().saturating_sub(1) as u32;
                    Piece { block: number, first, rows: count, bytes, numbers, starts: Some(starts) }
                }
            };
            rows.pieces.push(piece);
        }
        Ok(rows)
    }

    /// Rows that are sent.
    pub(crate) fn count(&self) -> u32 {
        self.pieces.last().map_or(0, |last| last.first + last.rows)
    }

    /// Block and row of the one with this number.
    pub(crate) fn place(&self, number: u32) -> (usize, u32) {
        let Some(piece) = self.piece(number) else { return (0, 0) };
        let row = number - piece.first;
        (
            piece.block,
            piece.numbers.as_ref().and_then(|numbers| numbers.get(row as usize)).copied().unwrap_or(row),
        )
    }

    fn piece(&self, number: u32) -> Option<&Piece> {
        let index = self.pieces.partition_point(|piece| piece.first + piece.rows <= number);
        self.pieces.get(index)
    }

    /// Looks for the rows' places where a cut falls within a piece.
    pub(crate) fn prepare(&mut self, range: &Range<u32>, blocks: &[Block]) -> Result<(), Error> {
        for (piece, block) in self.pieces.iter_mut().zip(blocks) {
            let end = piece.first + piece.rows;
            let is_cut = |at: u32| piece.first < at && at < end;
            if piece.starts.is_none() && (is_cut(range.start) || is_cut(range.end)) {
                piece.starts = Some(starts_of(block)?);
            }
        }
        Ok(())
    }

    /// The bytes of these rows. [`prepare`](Self::prepare) comes before.
    pub(crate) fn bytes(&self, range: Range<u32>) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().filter_map(move |piece| {
            let from = range.start.clamp(piece.first, piece.first + piece.rows) - piece.first;
            let to = range.end.clamp(piece.first, piece.first + piece.rows) - piece.first;
            if from == to {
                return None;
            }
            match &piece.starts {
                Some(starts) => {
                    let (from, to) = (starts.get(from as usize)?, starts.get(to as usize)?);
                    piece.bytes.get(*from as usize..*to as usize)
                }
                None => Some(&piece.bytes[..]),
            }
        })
    }
}

/// Whether the server keeps every value whole whose bytes go as they are.
fn are_kept(block: &Block, plan: &Plan) -> Result<bool, Error> {
    if plan.ways.iter().all(|way| way.limit.is_none()) {
        return Ok(true);
    }
    for tuple in Tuples::new(block) {
        let mut fields = tuple?.fields().zip(&plan.ways);
        if !fields.all(|(field, way)| field.bytes.is_none_or(|bytes| way.is_kept(bytes))) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn starts_of(block: &Block) -> Result<Vec<u32>, Error> {
    let mut starts = Vec::with_capacity(block.rows as usize + 1);
    let mut at = 0;
    starts.push(0);
    for tuple in Tuples::new(block) {
        at += tuple?.bytes().len() as u32;
        starts.push(at);
    }
    Ok(starts)
}
