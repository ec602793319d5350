use super::sync::{AcqRel, Acquire, AtomicU64, Relaxed, SeqCst};
use crate::planted::{self, Plant};

/// Nobody gets bytes any more.
const CLOSED: u64 = 1 << 63;
/// Somebody waits in the queue: nobody takes bytes but from there, and whoever gives back looks into it.
const WAITERS: u64 = 1 << 62;
/// Above soft, or somebody waits. Set and cleared together with what it follows from, so each change is seen by one caller.
const PRESSED: u64 = 1 << 61;
/// Was pressed, and has not fallen to half of soft since: what comes back is counted.
const MEASURED: u64 = 1 << 60;
const USED: u64 = MEASURED - 1;

/// The most that a budget can count: 1 EiB less a byte.
pub(super) const LIMIT_MAX: u64 = USED;

/// The bytes in use and the flags that go with them, in one atomic number: taking and giving back are one step each.
pub(super) struct Word {
    state: Line<AtomicU64>,
    peak: Line<AtomicU64>,
    pub(super) limit: u64,
    pub(super) soft: u64,
}

/// On cache lines of its own (two, as processors fetch them in pairs).
#[repr(align(128))]
struct Line<T>(T);

/// How a request for bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// Taken. `presses`: with it the budget became pressed, and the caller must say so.
    Taken { presses: bool },
    /// Not taken: they are not free, or somebody waits. Where the caller holds the queue's lock, it must wait in it.
    /// `presses`: it is the first in the queue, and the caller must say so.
    Wait { presses: bool },
    /// The budget is closed.
    Closed,
}

/// The flags that a release found or left.
#[derive(Clone, Copy)]
pub(super) struct Seen(u64);

impl Seen {
    #[inline]
    pub(super) fn is_plain(self) -> bool {
        self.0 & (WAITERS | PRESSED | MEASURED) == 0
    }

    pub(super) fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    pub(super) fn is_measured(self) -> bool {
        self.0 & MEASURED != 0
    }

    #[inline]
    pub(super) fn is_pressed(self) -> bool {
        self.0 & PRESSED != 0
    }

    #[inline]
    pub(super) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    #[inline]
    pub(super) fn used(self) -> u64 {
        self.0 & USED
    }
}

impl Word {
    pub(super) fn new(soft: u64, limit: u64) -> Self {
        let limit = limit.min(LIMIT_MAX);
        let zero = || Line(AtomicU64::new(0));
        Self { state: zero(), peak: zero(), limit, soft: soft.min(limit) }
    }

    #[inline]
    pub(super) fn look(&self) -> Seen {
        Seen(self.state.0.load(SeqCst))
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak.0.load(Relaxed)
    }

    /// Takes `bytes`, which are at most the limit, if they are free and nobody waits.
    #[inline]
    pub(super) fn take(&self, bytes: u64) -> Take {
        let mut seen = self.state.0.load(Relaxed);
        loop {
            if seen & (CLOSED | WAITERS) != 0 {
                return if seen & CLOSED != 0 { Take::Closed } else { Take::Wait { presses: false } };
            }
            let Some(next) = self.with(seen, bytes) else { return Take::Wait { presses: false } };
            match self.state.0.compare_exchange_weak(seen, next, SeqCst, Relaxed) {
                Ok(_) => {
                    self.grow_peak(next & USED);
                    return Take::Taken { presses: next & !seen & PRESSED != 0 };
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Under the queue's lock: as [`take`](Self::take), or raises the flag in the same step that finds no room, so that
    /// every later release comes to the queue.
    pub(super) fn take_or_flag(&self, bytes: u64) -> Take {
        loop {
            match self.take(bytes) {
                Take::Wait { .. } => {}
                done => return done,
            }
            let seen = self.state.0.load(Relaxed);
            if seen & WAITERS != 0 {
                return Take::Wait { presses: false };
            }
            if seen & CLOSED != 0 || self.with(seen, bytes).is_some() {
                continue;
            }
            let next = seen | WAITERS | PRESSED | MEASURED;
            if planted::is(Plant::FlagsLate) {
                self.state.0.fetch_or(WAITERS | PRESSED | MEASURED, SeqCst);
                return Take::Wait { presses: true };
            }
            // Pressed or not: what could not be relieved when that began may have grown since, and now somebody stands.
            if self.state.0.compare_exchange(seen, next, SeqCst, Relaxed).is_ok() {
                return Take::Wait { presses: true };
            }
        }
    }

    /// Under the queue's lock, for the first in it: takes `bytes` if they are free. While the flag is up nobody else adds.
    pub(super) fn grant(&self, bytes: u64) -> bool {
        let fits = (self.state.0.load(Acquire) & USED) + bytes <= self.limit;
        if fits {
            let before = self.state.0.fetch_add(bytes, AcqRel);
            self.grow_peak((before & USED) + bytes);
        }
        fits
    }

    /// Under the queue's lock, when nobody is left in it.
    pub(super) fn lower_flag(&self) {
        if self.state.0.load(Relaxed) & WAITERS != 0 {
            self.state.0.fetch_and(!WAITERS, AcqRel);
        }
    }

    /// Gives `bytes` back; the flags as they were at that moment.
    #[inline]
    pub(super) fn give(&self, bytes: u64) -> Seen {
        Seen(self.state.0.fetch_sub(bytes, AcqRel) - bytes)
    }

    /// Under the queue's lock.
    pub(super) fn close(&self) {
        self.state.0.fetch_or(CLOSED, SeqCst);
    }

    /// Ends what no longer holds: the pressure at soft when nobody waits, the measuring at half of it. To be called by whoever
    /// lowered the bytes or the flag; what was ended is told to one caller only.
    pub(super) fn calm(&self) -> Calmed {
        let mut seen = self.state.0.load(Acquire);
        loop {
            let used = seen & USED;
            let mut next = seen;
            if seen & WAITERS == 0 && used <= self.soft {
                next &= !PRESSED;
                if used <= self.soft / 2 {
                    next &= !MEASURED;
                }
            }
            if next == seen {
                return Calmed::default();
            }
            if planted::is(Plant::CalmsBlindly) {
                self.state.0.fetch_and(!(PRESSED | MEASURED), SeqCst);
                return Calmed { pressure: true, measuring: true };
            }
            match self.state.0.compare_exchange_weak(seen, next, SeqCst, Acquire) {
                Ok(_) => {
                    let ended = seen & !next;
                    return Calmed { pressure: ended & PRESSED != 0, measuring: ended & MEASURED != 0 };
                }
                Err(now) => seen = now,
            }
        }
    }

    /// `seen` with `bytes` more, if they fit.
    fn with(&self, seen: u64, bytes: u64) -> Option<u64> {
        let used = (seen & USED) + bytes;
        let flags = if used > self.soft { PRESSED | MEASURED } else { 0 };
        (used <= self.limit).then_some((seen + bytes) | flags)
    }

    /// Exact, as every step up passes here, and without a write unless it is the highest so far.
    fn grow_peak(&self, used: u64) {
        if used > self.peak.0.load(Relaxed) {
            self.peak.0.fetch_max(used, Relaxed);
        }
    }
}

/// What [`Word::calm`] ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calmed {
    pub(super) pressure: bool,
    pub(super) measuring: bool,
}
