use std::{io::Read, ops::Range, sync::Arc};

use standpipe::{
    core::Block,
    row::{BlockBuilder, Position},
};

use super::{
    encode::Parser,
    identity::{FilePosition, tail_of},
    interrupt::Interrupt,
    plan::Plan,
    stdin::Waiting,
    watch::Watch,
};
use crate::exit::Failure;

/// Takes blocks as they are cut from an input.
pub(crate) trait Drain {
    /// Takes the next block. Its range follows the one before.
    fn take(&mut self, cut: Cut) -> Result<(), Failure>;
}

/// A piece of an input, encoded.
pub(crate) struct Cut {
    pub(crate) block: Block,
    /// Where it is in the unpacked input, in bytes.
    pub(crate) range: Range<u64>,
    /// What is to be remembered about its end.
    pub(crate) end: FilePosition,
}

/// How an input is cut.
pub(crate) struct Feed<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) watch: &'a Watch,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) block_bytes: u64,
    /// Records before the first one that is read here.
    pub(crate) records: u64,
    /// Offsets at which a block must end, ascending: where a lane stands.
    pub(crate) stops: Vec<u64>,
    /// Standard input: a block also ends when more is not there yet.
    pub(crate) waiting: Option<Waiting>,
    /// The first block empties the table.
    pub(crate) truncate: bool,
}

impl Feed<'_> {
    /// Reads the input to its end, or until it is interrupted, and hands its blocks to the drain. Returns what is to be
    /// remembered about the end, and where that is.
    pub(crate) fn run<R: Read>(
        mut self,
        mut parser: Parser<R>,
        drain: &mut dyn Drain,
    ) -> Result<(FilePosition, u64), Failure> {
        let mut builder = BlockBuilder::with_capacity(self.plan.schema.clone(), self.block_bytes as usize * 9 / 8);
        builder.set_origin(Arc::from(self.plan.name.as_str()));
        let mut last = Vec::new();
        let mut start = parser.position();
        let mut end = start;
        let mut line_end = true;
        let mut stops = std::mem::take(&mut self.stops).into_iter().peekable();
        while !self.interrupt.asked() {
            // Nobody knows when the producer goes on: what is here must not wait for it.
            if builder.entries() > 0 && self.would_wait(&parser) {
                self.cut(&mut builder, start, end, line_end, &last, drain)?;
                start = end;
            }
            let Some(step) = parser.next(&mut builder, &mut last, self.interrupt)? else { break };
            (end, line_end) = (step.end, step.line_end);
            let is_stop = stops.next_if(|stop| *stop <= end.offset).is_some();
            if is_stop || builder.size_bytes() >= self.block_bytes {
                self.cut(&mut builder, start, end, line_end, &last, drain)?;
                start = end;
            }
        }
        if builder.entries() > 0 || self.truncate {
            self.cut(&mut builder, start, end, line_end, &last, drain)?;
        }
        Ok((self.position(end, line_end, &last), end.offset))
    }

    /// Whether all that came was read, so that the next read waits.
    fn would_wait<R: Read>(&self, parser: &Parser<R>) -> bool {
        self.waiting.as_ref().is_some_and(Waiting::would_wait) && !parser.has_line_at_hand()
    }

    fn cut(
        &mut self,
        builder: &mut BlockBuilder,
        start: Position,
        end: Position,
        line_end: bool,
        last: &[u8],
        drain: &mut dyn Drain,
    ) -> Result<(), Failure> {
        self.records += builder.entries();
        self.watch.read(builder.entries(), end.offset - start.offset);
        let mut block = builder.finish();
        block.truncate = std::mem::take(&mut self.truncate);
        drain.take(Cut { block, range: start.offset..end.offset, end: self.position(end, line_end, last) })
    }

    fn position(&self, end: Position, line_end: bool, last: &[u8]) -> FilePosition {
        FilePosition {
            records: self.records,
            line: end.line,
            tail: (!last.is_empty()).then(|| tail_of(last)),
            open_end: !line_end,
            size: None,
        }
    }
}
