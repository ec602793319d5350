use serde::Serialize;
use standpipe_core::Block;
use standpipe_row::BlockBuilder;

use crate::{SinkError, Stream, envelope::SOURCE_POSITION_BYTES_MAX, stream::lane_of};

/// Encoded rows, on their way into a sink. They hold their own memory until [`Sink::write`](crate::Sink::write) takes them.
#[derive(Clone, Debug)]
pub struct Rows {
    pub(crate) blocks: Vec<(u32, Block)>,
    pub(crate) source_position: String,
}

impl Rows {
    /// Blocks that were encoded elsewhere, each with its lane.
    #[must_use]
    pub fn from_blocks(blocks: Vec<(u32, Block)>) -> Self {
        Rows { blocks, source_position: String::new() }
    }

    /// Rows of a typed writer or a parser, for lane 0.
    #[must_use]
    pub fn from_block(block: Block) -> Self {
        Self::from_blocks(vec![(0, block)])
    }

    pub(crate) fn encode<T: Serialize>(stream: &Stream, rows: &[T]) -> Result<Self, SinkError> {
        let mut builder = BlockBuilder::new(stream.schema.clone());
        let mut blocks = Vec::new();
        for row in rows {
            if let Err(fault) = builder.serialize(row) {
                // A fault without a column is one of the type, not of a value: every row has it.
                if fault.column.is_none() {
                    return Err(SinkError::Invalid(fault.to_string()));
                }
                builder.reject(fault, &serde_json::to_vec(row).unwrap_or_default());
            }
            if builder.size_bytes() >= stream.block_bytes {
                blocks.push((0, builder.finish()));
            }
        }
        if builder.entries() > 0 {
            blocks.push((0, builder.finish()));
        }
        Ok(Self::from_blocks(blocks))
    }

    /// Puts all of these rows into the lane of `key` (a tenant, a device): rows of one key stay in order.
    #[must_use]
    pub fn keyed(mut self, stream: &Stream, key: &[u8]) -> Self {
        for (lane, _) in &mut self.blocks {
            *lane = lane_of(key, stream.lanes());
        }
        self
    }

    /// What the source wants to remember about the end of these rows; kept in the log beside them and in the ledger
    /// once they are applied. At most 1,024 bytes.
    ///
    /// # Errors
    /// [`SinkError::Invalid`] when it is longer.
    pub fn at(mut self, source_position: impl Into<String>) -> Result<Self, SinkError> {
        self.source_position = source_position.into();
        if self.source_position.len() > SOURCE_POSITION_BYTES_MAX {
            return Err(SinkError::Invalid(format!(
                "a source position has at most {SOURCE_POSITION_BYTES_MAX} bytes, not {}",
                self.source_position.len()
            )));
        }
        Ok(self)
    }

    /// The number of rows, rejected ones included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.blocks.iter().map(|(_, block)| block.entries()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
