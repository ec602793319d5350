use std::{collections::BTreeMap, error, fmt, io};

use super::call::{Call, CallKind};

/// What a call does instead of its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fails with this number of the operating system. A failed `sync_data` or `sync_all` also marks the file's pages
    /// clean: no later sync makes what was unsynced durable. An interruption (`EINTR`) comes before the sync began and
    /// leaves them as they were.
    Os(i32),
    /// Fails with this kind of error, with the effects of [`Fault::Os`].
    Kind(io::ErrorKind),
    /// A write or read that takes at most this many bytes and says so. Does nothing to other calls.
    Short(usize),
    /// A write that puts this many bytes down and then fails with the number. Other calls just fail.
    Partial {
        /// Bytes that reach the file all the same.
        bytes: usize,
        /// The number of the operating system.
        os: i32,
    },
    /// Panics in the calling thread. The storage itself stays usable.
    Panic,
}

impl Fault {
    /// The disk reports an I/O error.
    pub const EIO: Fault = Fault::Os(5);
    /// The disk is full.
    pub const ENOSPC: Fault = Fault::Os(28);
    /// A signal interrupted the call; nothing happened.
    pub const EINTR: Fault = Fault::Os(4);

    pub(crate) fn error(&self) -> Option<io::Error> {
        match self {
            Fault::Os(os) | Fault::Partial { os, .. } => Some(io::Error::from_raw_os_error(*os)),
            Fault::Kind(kind) => Some((*kind).into()),
            Fault::Short(_) | Fault::Panic => None,
        }
    }
}

/// The error of every call after [`stop_after`](super::MemStorage::stop_after): the machine has no power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerGone;

impl PowerGone {
    /// Whether `error` is this one.
    #[must_use]
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<PowerGone>())
    }
}

impl fmt::Display for PowerGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("power is gone")
    }
}

impl error::Error for PowerGone {}

/// Which calls fail, and how.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    by_number: BTreeMap<u64, Fault>,
    by_kind: Vec<(CallKind, u64, Fault)>,
    always: BTreeMap<CallKind, Fault>,
    stop_after: Option<u64>,
    off: bool,
}

impl Plan {
    pub(crate) fn at(&mut self, number: u64, fault: Fault) {
        self.by_number.insert(number, fault);
    }

    pub(crate) fn nth(&mut self, kind: CallKind, nth: u64, fault: Fault) {
        self.by_kind.push((kind, nth.max(1), fault));
    }

    pub(crate) fn every(&mut self, kind: CallKind, fault: Fault) {
        self.always.insert(kind, fault);
    }

    pub(crate) fn stop_after(&mut self, calls: u64) {
        self.stop_after = Some(calls);
    }

    pub(crate) fn power_off(&mut self) {
        self.off = true;
    }

    /// Forgets planned faults; lost power stays lost.
    pub(crate) fn clear(&mut self) {
        *self = Plan { stop_after: self.stop_after, off: self.off, ..Plan::default() };
    }

    pub(crate) fn has_power(&self, number: u64) -> bool {
        !self.off && self.stop_after.is_none_or(|calls| number <= calls)
    }

    /// The fault of this call, counting it against every plan for its kind.
    pub(crate) fn take(&mut self, call: &Call) -> Option<Fault> {
        let mut due = None;
        self.by_kind.retain_mut(|(kind, left, fault)| {
            if *kind != call.kind {
                return true;
            }
            *left -= 1;
            if *left == 0 && due.is_none() {
                due = Some(fault.clone());
            }
            *left > 0
        });
        self.by_number.remove(&call.number).or(due).or_else(|| self.always.get(&call.kind).cloned())
    }
}
