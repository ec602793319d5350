use std::sync::Arc;

use crate::{Block, Destination, LaneId};

/// Blocks of one lane that go to the target together, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The lane.
    pub lane: LaneId,
    /// Where the rows go, and how.
    pub destination: Arc<Destination>,
    /// The blocks in order; their schemas may differ from block to block.
    pub blocks: Vec<Block>,
}

impl Batch {
    /// Tuples in all blocks.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.rows)).sum()
    }

    /// Bytes in all blocks.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.blocks.iter().map(Block::size_bytes).sum()
    }
}
