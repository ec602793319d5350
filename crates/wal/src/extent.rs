use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use standpipe_log::{LogError, Lsn};

use crate::{lock::lock, meter, seal::Seal};

/// What a log holds and how far it may be read.
#[derive(Debug)]
pub(crate) struct Extent {
    state: Mutex<State>,
    moved: Condvar,
    durable: AtomicU64,
}

#[derive(Debug)]
struct State {
    segments: VecDeque<Entry>,
    /// Everything below is readable, in the last segment up to `offset`.
    lsn: Lsn,
    offset: u64,
    ended: Option<LogError>,
    sleepers: usize,
}

/// One segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    pub(crate) incarnation: u64,
    pub(crate) base: Lsn,
    pub(crate) length: u64,
    /// Whether there was ever a segment before this one.
    pub(crate) has_predecessor: bool,
    /// The first record of the caller's, when there is one.
    pub(crate) first: Option<Lsn>,
    /// Where it ends; `None` for the one that is being written.
    pub(crate) seal: Option<Seal>,
}

/// What a reader at some place may do.
#[derive(Debug)]
pub(crate) enum Readable {
    /// Read below this offset.
    UpTo(u64),
    /// Go on with this segment; the one before ended with this chain.
    Next(Entry, u32),
    /// Wait: nothing below this number comes any more.
    CaughtUp(Lsn),
    /// Nothing more will come.
    Ended(LogError),
    /// The segment is gone; this is the lowest number still there.
    Gone(Lsn),
}

impl Extent {
    pub(crate) fn new(segments: Vec<Entry>, lsn: Lsn, offset: u64) -> Self {
        let state = State { segments: segments.into(), lsn, offset, ended: None, sleepers: 0 };
        Extent { state: Mutex::new(state), moved: Condvar::new(), durable: AtomicU64::new(lsn.number()) }
    }

    pub(crate) fn durable_end(&self) -> Lsn {
        Lsn::new(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn start(&self) -> Lsn {
        lock(&self.state).start()
    }

    /// Lets readers go on to here in the last segment.
    pub(crate) fn publish(&self, lsn: Lsn, offset: u64, first: Option<Lsn>) {
        let mut state = lock(&self.state);
        if state.ended.is_some() {
            return;
        }
        state.lsn = state.lsn.max(lsn);
        state.offset = offset;
        if let Some(last) = state.segments.back_mut() {
            last.first = last.first.or(first);
        }
        self.durable.store(state.lsn.number(), Ordering::Release);
        if state.sleepers > 0 {
            self.moved.notify_all();
        }
    }

    /// Ends the last segment and goes on with a new one, readable up to `offset`.
    pub(crate) fn rotate(&self, seal: Seal, entry: Entry, offset: u64) {
        let mut state = lock(&self.state);
        if let Some(last) = state.segments.back_mut() {
            last.seal = Some(seal);
        }
        state.segments.push_back(entry);
        state.offset = offset;
        meter::segments(state.segments.len());
    }

    /// Says that nothing more will come, and why.
    pub(crate) fn end(&self, why: LogError) {
        let mut state = lock(&self.state);
        state.ended.get_or_insert(why);
        self.moved.notify_all();
    }

    /// The segment in which the record `from` is, or would be.
    pub(crate) fn locate(&self, from: Lsn) -> Result<Option<Entry>, LogError> {
        let state = lock(&self.state);
        let Some(head) = state.segments.front() else { return Ok(None) };
        if from < head.base && head.has_predecessor {
            return Err(LogError::Truncated { wanted: from, start: state.start() });
        }
        let at = state.segments.partition_point(|entry| entry.base <= from).saturating_sub(1);
        Ok(state.segments.get(at).copied())
    }

    pub(crate) fn readable(&self, sequence: u64, offset: u64) -> Readable {
        lock(&self.state).readable(sequence, offset)
    }

    /// Whether a segment gets nothing more.
    pub(crate) fn is_sealed(&self, sequence: u64) -> bool {
        let state = lock(&self.state);
        let at = state.segments.binary_search_by_key(&sequence, |entry| entry.sequence);
        at.is_ok_and(|at| state.segments[at].seal.is_some())
    }

    /// Waits until there is something at this place, at most until `deadline` (`None`: for ever).
    pub(crate) fn wait(&self, sequence: u64, offset: u64, deadline: Option<Instant>) {
        let mut state = lock(&self.state);
        while matches!(state.readable(sequence, offset), Readable::CaughtUp(_)) {
            state.sleepers += 1;
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.moved.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    state.sleepers -= 1;
                    return;
                }
                Some(left) => self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            state.sleepers -= 1;
        }
    }

    /// The oldest segment, if every record in it is below `lsn` and another follows.
    pub(crate) fn removable(&self, lsn: Lsn) -> Option<Entry> {
        let state = lock(&self.state);
        state.segments.front().copied().filter(|head| head.seal.is_some_and(|seal| seal.end_lsn <= lsn))
    }

    /// The segment at the head could not be removed.
    pub(crate) fn restore(&self, entry: Entry) {
        let mut state = lock(&self.state);
        state.segments.push_front(entry);
        meter::segments(state.segments.len());
    }

    pub(crate) fn forget(&self, sequence: u64) {
        let mut state = lock(&self.state);
        if state.segments.front().is_some_and(|head| head.sequence == sequence) {
            state.segments.pop_front();
            meter::segments(state.segments.len());
        }
    }
}

impl State {
    fn start(&self) -> Lsn {
        self.segments.iter().find_map(|entry| entry.first).unwrap_or(self.lsn)
    }

    fn readable(&self, sequence: u64, offset: u64) -> Readable {
        let head = self.segments.front().map_or(0, |head| head.sequence);
        let at = sequence.checked_sub(head).and_then(|at| usize::try_from(at).ok());
        let Some((at, entry)) = at.and_then(|at| Some((at, self.segments.get(at)?))) else {
            return Readable::Gone(self.start());
        };
        match (entry.seal, self.segments.get(at + 1)) {
            (Some(seal), _) if offset < seal.end => Readable::UpTo(seal.end),
            (Some(seal), Some(next)) => Readable::Next(*next, seal.chain),
            _ if offset < self.offset => Readable::UpTo(self.offset),
            _ => match &self.ended {
                Some(why) => Readable::Ended(why.clone()),
                None => Readable::CaughtUp(self.lsn),
            },
        }
    }
}
