use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Holds calls until it is opened, and tells when one has come. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    reached: bool,
    open: bool,
    wakers: Vec<Waker>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets through whoever waits, and everyone who comes later.
    pub fn open(&self) {
        self.change(|state| state.open = true);
    }

    /// Whether a call has come to the gate.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.lock().reached
    }

    /// Waits until a call has come to the gate.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn reached(&self) {
        poll_fn(|context| self.wait(context, |state| state.reached)).await;
    }

    pub(crate) async fn pass(&self) {
        self.change(|state| state.reached = true);
        poll_fn(|context| self.wait(context, |state| state.open)).await;
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.lock();
            change(&mut state);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn wait(&self, context: &Context<'_>, ready: impl Fn(&State) -> bool) -> Poll<()> {
        let mut state = self.lock();
        if ready(&state) {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
