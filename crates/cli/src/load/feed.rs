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
use crate::{exit::Failure, output};

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
    /// A block is a part of a batch: it has no more rows than one.
    pub(crate) block_rows: u64,
    /// What is remembered about the place where reading begins.
    pub(crate) state: FilePosition,
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
        let mut builder =
            BlockBuilder::with_capacity(self.plan.schema.clone(), self.block_bytes as usize * 9 / 8);
        builder.set_row_bytes_max(self.plan.record_bytes_max);
        builder.set_non_finite(self.plan.non_finite);
        builder.set_origin(Arc::from(self.plan.name.as_str()));
        let mut last = Vec::new();
        let mut start = parser.position();
        let mut end = start;
        let mut line_end = true;
        let mut stops = std::mem::take(&mut self.stops).into_iter().peekable();
        let mut damaged = None;
        while !self.interrupt.asked() {
            // Nobody knows when the producer goes on: what is here must not wait for it.
            if builder.entries() > 0 && self.would_wait(&parser) {
                self.cut(&mut builder, start, end, line_end, &last, drain)?;
                start = end;
            }
            match parser.next(&mut builder, &mut last, self.interrupt) {
                Ok(Some(step)) => (end, line_end) = (step.end, step.line_end),
                Ok(None) => break,
                // What was read before it is sound, and is loaded.
                Err(failure) => {
                    damaged = Some(failure);
                    break;
                }
            }
            if self.waiting.is_some() && self.state.first.is_none() {
                self.state.first = Some(tail_of(&last).1);
            }
            let is_stop = stops.next_if(|stop| *stop <= end.offset).is_some();
            if is_stop || builder.size_bytes() >= self.block_bytes || builder.entries() >= self.block_rows {
                self.cut(&mut builder, start, end, line_end, &last, drain)?;
                start = end;
            }
        }
        if builder.entries() > 0 || (self.truncate && damaged.is_none() && !self.interrupt.asked()) {
            self.cut(&mut builder, start, end, line_end, &last, drain)?;
        }
        if self.interrupt.asked() {
            output::complain("interrupted: what was read is being applied; a second Ctrl-C stops at once");
        }
        if let Some(failure) = damaged {
            return Err(failure);
        }
        Ok((self.state, end.offset))
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
        if builder.entries() > 0 {
            self.state = FilePosition {
                records: self.state.records + builder.entries(),
                line: end.line,
                tail: (!last.is_empty()).then(|| tail_of(last)),
                first: self.state.first.take(),
                key: std::mem::take(&mut self.state.key),
                open_end: !line_end,
                size: None,
            };
        }
        self.watch.read(builder.entries(), end.offset - start.offset);
        let mut block = builder.finish();
        block.truncate = std::mem::take(&mut self.truncate);
        drain.take(Cut { block, range: start.offset..end.offset, end: self.state.clone() })
    }
}
