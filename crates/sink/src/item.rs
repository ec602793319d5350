use std::{sync::Arc, time::Instant};

use standpipe_buffer::{Weigh, Weight};
use standpipe_core::Block;

use crate::stream::LaneState;

/// What moves a lane by one step: blocks on their way from the dispatcher (or `write_at`) to their commit. They are
/// never parted, because between them there is no position at which the lane could stand.
pub(crate) struct Item {
    /// Where it goes.
    pub(crate) lane: Arc<LaneState>,
    /// The rows: one block from the log, one or more from `write_at`.
    pub(crate) blocks: Vec<Block>,
    /// The position at which the rows begin.
    pub(crate) start: u64,
    /// The lane's position once they are applied.
    pub(crate) end: u64,
    /// What the source wants to remember about `end`.
    pub(crate) source_position: Arc<str>,
    /// The source ends with these rows.
    pub(crate) complete: bool,
    /// When it came.
    pub(crate) since: Instant,
    /// The memory that was taken for it, in bytes: its size, or all there is where that is less. Given back after its commit.
    pub(crate) memory: u64,
}

impl Item {
    /// Records of the log that it stands for. A step without blocks only moves the lane.
    pub(crate) fn records(&self) -> u64 {
        u64::from(!self.blocks.is_empty())
    }

    /// Rows, rejected ones included.
    pub(crate) fn entries(&self) -> u64 {
        self.blocks.iter().map(Block::entries).sum()
    }

    /// Bytes of all blocks.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.blocks.iter().map(Block::size_bytes).sum()
    }
}

impl Weigh for Item {
    fn weight(&self) -> Weight {
        Weight { rows: self.entries(), bytes: self.memory }
    }
}
