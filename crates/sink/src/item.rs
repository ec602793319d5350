use std::{sync::Arc, time::Instant};

use standpipe_buffer::{Permit, Weigh, Weight};
use standpipe_core::Block;

use crate::stream::LaneState;

/// A block on its way from the dispatcher (or `write_at`) to its commit.
pub(crate) struct Item {
    /// Where it goes.
    pub(crate) lane: Arc<LaneState>,
    /// The rows.
    pub(crate) block: Block,
    /// The position at which the block begins.
    pub(crate) start: u64,
    /// The lane's position once the block is applied.
    pub(crate) end: u64,
    /// What the source wants to remember about `end`.
    pub(crate) source_position: Arc<str>,
    /// The source ends with this block.
    pub(crate) complete: bool,
    /// When it came.
    pub(crate) since: Instant,
    /// Its memory. Given back when the item is dropped, which is after its commit.
    pub(crate) _permit: Permit,
}

impl Weigh for Item {
    fn weight(&self) -> Weight {
        Weight { rows: self.block.entries(), bytes: self.block.size_bytes() }
    }
}
