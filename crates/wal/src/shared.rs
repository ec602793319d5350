use std::sync::{Condvar, Mutex, atomic::AtomicU64};

use standpipe_log::{LogError, LogId};

use crate::{birth::Pins, extent::Extent, queue::Queue, settings::Settings};

/// What the callers, the log's thread and the readers of one log have in common.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    pub(crate) storage: S,
    pub(crate) settings: Settings,
    pub(crate) id: LogId,
    pub(crate) queue: Mutex<Queue>,
    /// How many calls queued something, ever. Written under the queue's lock, read without it.
    pub(crate) arrived: AtomicU64,
    /// Wakes the log's thread.
    pub(crate) work: Condvar,
    pub(crate) extent: Extent,
    /// The durable pins.
    pub(crate) pins: Mutex<Pins>,
    /// Held by whoever removes segments; says why none is removed any more.
    pub(crate) truncation: Mutex<Option<LogError>>,
}
