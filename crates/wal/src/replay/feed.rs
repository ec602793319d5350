use std::sync::Arc;

use standpipe_log::{LogError, Lsn, Storage};

use super::{
    block::{Block, Checked},
    ring::{Ring, Taken},
    serial::{Map, Serial},
};
use crate::{extent::Entry, record::Walk, shared::Shared};

/// The frames of a log in order, from a ring while all is well there, else frame by frame.
pub(crate) struct Feed<'a, S: Storage> {
    ring: Option<&'a Ring<S>>,
    /// Stands behind the last block that came out of the ring.
    serial: Serial<S>,
    block: Block,
    /// The next frame of the block.
    at: usize,
    block_bytes: usize,
}

/// One frame.
pub(crate) struct Frame<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) walk: Walk,
    /// Its length on disk.
    pub(crate) span: u64,
    /// The number after its last record.
    pub(crate) end: Lsn,
}

impl<'a, S: Storage> Feed<'a, S> {
    pub(crate) fn new(
        shared: Arc<Shared<S>>,
        entry: &Entry,
        ring: Option<&'a Ring<S>>,
        block_bytes: usize,
        map: Option<Map<S::File>>,
    ) -> Self {
        Feed { ring, serial: Serial::new(shared, entry, map), block: Block::default(), at: 0, block_bytes }
    }

    /// Whether a ring is still believed.
    #[cfg(test)]
    pub(crate) fn is_ahead(&self) -> bool {
        self.ring.is_some()
    }

    /// The next frame; `None` at the end of the log.
    pub(crate) fn frame(&mut self) -> Result<Option<Frame<'_>>, LogError> {
        while self.at == self.block.frames.len() {
            let done = std::mem::take(&mut self.block);
            self.at = 0;
            let Some(ring) = self.ring else { break };
            ring.reuse(done);
            match self.take_from(ring) {
                Some(Some(block)) => self.block = block,
                Some(None) => return Ok(None),
                None => break,
            }
        }
        if let Some(frame) = self.block.frames.get(self.at) {
            self.at += 1;
            let (walk, span, end) = (frame.walk(), frame.span, frame.end);
            return Ok(Some(Frame { payload: self.block.payload(frame), walk, span, end }));
        }
        let Some((frame, span)) = self.serial.step()? else { return Ok(None) };
        let (walk, end) = (Walk::new(frame.records, frame.base), self.serial.lsn());
        Ok(Some(Frame { payload: self.serial.payload(), walk, span, end }))
    }

    /// The next frames, to keep; `None` at the end of the log. Not to be mixed with [`frame`](Feed::frame).
    pub(crate) fn block(&mut self, spare: Block) -> Result<Option<Block>, LogError> {
        if let Some(ring) = self.ring
            && let Some(found) = self.take_from(ring)
        {
            ring.reuse(spare);
            return Ok(found);
        }
        let mut block = spare.emptied();
        while block.copied_bytes() < self.block_bytes {
            match self.serial.step() {
                Ok(Some((frame, span))) => {
                    let (payload, end) = (self.serial.payload(), self.serial.lsn());
                    block.copy(frame.records, frame.base, end, span, payload);
                }
                // What was read before comes first; the serial reader stays where it is and says the same again.
                Ok(None) | Err(_) if !block.frames.is_empty() => break,
                other => return other.map(|_| None),
            }
        }
        Ok(Some(block))
    }

    /// The next block out of the ring, `Some(None)` at its end; `None` where the serial reader must go on.
    fn take_from(&mut self, ring: &Ring<S>) -> Option<Option<Block>> {
        match ring.take() {
            Taken::Block(found) if self.follows(&found) => {
                self.serial.move_to(found.sequence, found.end);
                Some(Some(found.block))
            }
            Taken::End => Some(None),
            Taken::Block(_) | Taken::Doubt => {
                ring.stop();
                self.ring = None;
                None
            }
        }
    }

    /// Whether numbers go on where the last block ended. Within blocks that was checked.
    fn follows(&self, found: &Checked) -> bool {
        let least =
            if found.sequence == self.serial.sequence { self.serial.lsn() } else { found.segment_base };
        found.first >= least
    }
}
