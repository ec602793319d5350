use std::time::Duration;

use standpipe_core::{DeadLetter, StreamId};

/// What a batch of one lane did, as told after its commit.
#[derive(Clone, Debug)]
pub struct Applied<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// Its lane.
    pub lane: u32,
    /// Everything below this position is applied now.
    pub position: u64,
    /// What the source remembers about it.
    pub source_position: &'a str,
    /// Rows in the table.
    pub rows: u64,
    /// Rows in the dead letters.
    pub dead_lettered: u64,
    /// Bytes of rows.
    pub bytes: u64,
    /// How long the oldest row was in the sink.
    pub waited: Duration,
}

/// Is told what a sink does, for progress bars, metrics and summaries.
///
/// The calls are made inline, one at a time for each worker, and are waited for at `close`: a slow observer slows the
/// sink and is never behind or cut off. All have an empty default.
pub trait Events: Send + Sync + 'static {
    /// Rows became durable in the log, this long after `write` took them.
    fn acknowledged(&self, rows: u64, took: Duration) {
        let _ = (rows, took);
    }

    /// A batch is committed.
    fn applied(&self, applied: &Applied<'_>) {
        let _ = applied;
    }

    /// These rows were given up, and are among the dead letters: their commit is made. Or they are so many that the sink stops
    /// ([`errors_max`](crate::Settings::errors_max)) without it.
    fn dead_lettered(&self, letters: &[DeadLetter]) {
        let _ = letters;
    }

    /// The target cannot take rows now; it is asked again after a pause.
    fn stalled(&self, reason: &str, pause: Duration) {
        let _ = (reason, pause);
    }
}

/// Tells nobody.
pub(crate) struct Unobserved;

impl Events for Unobserved {}
