use std::collections::BTreeMap;

use standpipe_core::{Error, ErrorKind};

use super::{
    call::{Call, CallKind},
    gate::Gate,
};

/// What a call does beside or instead of its work.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Fails with this kind of error; nothing happened.
    Fail(ErrorKind),
    /// Happens, and then fails with this kind of error: the reply was lost.
    FailAfter(ErrorKind),
    /// A commit that says `InDoubt` and that the server carries out only at
    /// [`SimTarget::finish_late_commits`](super::SimTarget::finish_late_commits); its locks are held until then. Other calls fail as
    /// with [`Fail`](Fault::Fail) and `Retry`.
    Late,
    /// Waits at the gate, then goes on. Nothing happened before.
    Hang(Gate),
    /// Happens, then waits at the gate.
    HangAfter(Gate),
    /// Panics in the calling task; nothing happened. The database stays usable.
    Panic,
}

impl Fault {
    /// A commit whose outcome the caller does not learn.
    #[must_use]
    pub const fn in_doubt(committed: bool) -> Self {
        if committed { Fault::FailAfter(ErrorKind::InDoubt) } else { Fault::Fail(ErrorKind::InDoubt) }
    }
}

/// What is left to do for a fault once the call has done its work.
#[derive(Debug)]
pub(crate) enum Exit {
    Plain,
    Fail(Error),
    Hang(Gate),
    Late(Error),
}

impl Exit {
    pub(crate) async fn pass<T>(self, value: T) -> Result<T, Error> {
        match self {
            Exit::Plain => Ok(value),
            Exit::Fail(error) | Exit::Late(error) => Err(error),
            Exit::Hang(gate) => {
                gate.pass().await;
                Ok(value)
            }
        }
    }
}

pub(crate) fn planted(kind: ErrorKind, call: &Call) -> Error {
    Error::new(kind, format!("planted failure of {call}")).with_code("SIM01")
}

/// Which calls fail, and how.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    by_number: BTreeMap<u64, Fault>,
    by_kind: Vec<(CallKind, u64, Fault)>,
    always: BTreeMap<CallKind, Fault>,
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
