use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use standpipe::{
    Error, Stream,
    core::{Block, Lines, Origin},
    row::Tuples,
};

/// Parts a block into one for each lane that has rows, by the bytes of the key's fields. Rejected rows go with lane 0, which
/// keeps their order.
pub(crate) fn by_key(block: Block, stream: &Stream, key: &[usize]) -> Result<Vec<(u32, Block)>, Error> {
    let lanes = stream.lanes();
    if lanes == 1 {
        return Ok(vec![(0, block)]);
    }
    let mut parts: Vec<Part> = (0..lanes).map(|_| Part::default()).collect();
    let mut text = Vec::new();
    for (row, tuple) in Tuples::new(&block).enumerate() {
        let tuple = tuple?;
        text.clear();
        for (index, field) in tuple.fields().enumerate() {
            if key.contains(&index) {
                field.append_key(&mut text);
            }
        }
        let part = &mut parts[stream.lane_of(&text) as usize];
        part.rows += 1;
        part.tuples.extend_from_slice(tuple.bytes());
        part.ordinals.push(block.ordinal_of(row as u32));
    }
    parts[0].add_rejected(&block);
    let truncate = block.truncate;
    let made =
        (0..lanes).zip(parts).map(|(lane, part)| (lane, part.into_block(&block, truncate && lane == 0)));
    Ok(made.filter(|(lane, part)| part.entries() > 0 || (*lane == 0 && truncate)).collect())
}

#[derive(Default)]
struct Part {
    rows: u32,
    tuples: BytesMut,
    /// Which entry of the whole block each entry of this part was.
    ordinals: Vec<u32>,
    rejected: Vec<standpipe::core::RejectedRow>,
}

impl Part {
    fn add_rejected(&mut self, block: &Block) {
        if block.rejected.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut self.ordinals);
        all.extend(block.rejected.iter().map(|row| row.ordinal));
        all.sort_unstable();
        for row in &block.rejected {
            let mut row = row.clone();
            // Its place among this part's entries.
            row.ordinal = all.partition_point(|ordinal| *ordinal < row.ordinal) as u32;
            self.rejected.push(row);
        }
        self.ordinals = all;
    }

    fn into_block(self, whole: &Block, truncate: bool) -> Block {
        let lines: Option<Vec<u32>> = self
            .ordinals
            .iter()
            .map(|ordinal| {
                let line = whole.origin.line_of(*ordinal)?;
                u32::try_from(line - whole.origin.first_line).ok()
            })
            .collect();
        let origin = match lines {
            Some(lines) => Origin { lines: Lines::Each(Arc::from(lines)), ..whole.origin.clone() },
            None => Origin { first_line: 0, lines: Lines::Consecutive, ..whole.origin.clone() },
        };
        Block {
            schema: whole.schema.clone(),
            rows: self.rows,
            tuples: Bytes::from(self.tuples),
            rejected: self.rejected,
            origin,
            truncate,
        }
    }
}
