use std::ops::ControlFlow;

use crate::{
    plan::{Plan, Stop},
    tour::{Halt, Sound},
};

/// How many bytes lie between two reports.
const REPORT_EVERY_BYTES: u64 = 1 << 20;

/// How far a tool has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadProgress {
    /// Bytes that were read.
    pub done_bytes: u64,
    /// Bytes that there are at most: the end of the log is found by reading.
    pub total_bytes: u64,
}

/// Told how far a tool has come, each MiB or so; to break is to give up.
pub type Watch<'a> = &'a mut dyn FnMut(ReadProgress) -> ControlFlow<()>;

/// Tells a watcher.
pub(crate) struct Meter<'a> {
    watch: Watch<'a>,
    progress: ReadProgress,
    reported: u64,
    /// Before the segment at hand.
    before: u64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(plan: &Plan, watch: Watch<'a>) -> Self {
        let total_bytes = plan.stops.iter().map(Stop::limit).sum();
        Meter { watch, progress: ReadProgress { done_bytes: 0, total_bytes }, reported: 0, before: 0 }
    }

    pub(crate) fn frame(&mut self, sound: &Sound<'_>) -> Result<(), Halt> {
        self.progress.done_bytes = self.before + sound.cursor.offset;
        if self.progress.done_bytes - self.reported < REPORT_EVERY_BYTES { Ok(()) } else { self.report() }
    }

    pub(crate) fn leave(&mut self, stop: &Stop) -> Result<(), Halt> {
        self.before += stop.limit();
        self.progress.done_bytes = self.before;
        self.report()
    }

    fn report(&mut self) -> Result<(), Halt> {
        self.reported = self.progress.done_bytes;
        if (self.watch)(self.progress).is_break() { Err(Halt::Enough) } else { Ok(()) }
    }
}
