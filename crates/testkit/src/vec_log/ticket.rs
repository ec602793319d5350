use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use standpipe_log::{LogError, Lsn, Ticket};

/// The ticket of a [`VecLog`](super::VecLog).
pub struct VecTicket {
    lsn: Lsn,
    slot: Arc<Slot>,
}

/// Where a ticket's outcome is put.
#[derive(Default)]
pub(crate) struct Slot {
    state: Mutex<SlotState>,
    filled: Condvar,
}

#[derive(Default)]
struct SlotState {
    outcome: Option<Result<Lsn, LogError>>,
    waker: Option<Waker>,
    withdrawn: bool,
}

impl VecTicket {
    pub(crate) fn new(lsn: Lsn, slot: Arc<Slot>) -> Self {
        VecTicket { lsn, slot }
    }
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves the ticket; only the first outcome counts.
    pub(crate) fn fill(&self, outcome: Result<Lsn, LogError>) {
        let waker = {
            let mut state = self.state();
            if state.outcome.is_none() {
                state.outcome = Some(outcome);
            }
            state.waker.take()
        };
        self.filled.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the ticket was dropped before it resolved.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.state().withdrawn
    }
}

impl Ticket for VecTicket {
    fn lsn(&self) -> Lsn {
        self.lsn
    }

    fn wait(self) -> Result<Lsn, LogError> {
        let mut state = self.slot.state();
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.clone();
            }
            state = self.slot.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for VecTicket {
    type Output = Result<Lsn, LogError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.slot.state();
        match &state.outcome {
            Some(outcome) => Poll::Ready(outcome.clone()),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for VecTicket {
    fn drop(&mut self) {
        let mut state = self.slot.state();
        state.waker = None;
        state.withdrawn = state.outcome.is_none();
    }
}

impl fmt::Debug for VecTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VecTicket").field("lsn", &self.lsn).finish_non_exhaustive()
    }
}
