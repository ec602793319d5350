//! One value from a connection's thread to whoever asked.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// The end that answers. Dropped without an answer, the other end learns that.
pub(crate) struct Answer<T>(Arc<Mutex<Slot<T>>>);

/// The end that waits: `None` when there will be no answer.
pub(crate) struct Reply<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    value: Option<T>,
    gone: bool,
    waker: Option<Waker>,
}

pub(crate) fn reply<T>() -> (Answer<T>, Reply<T>) {
    let slot = Arc::new(Mutex::new(Slot { value: None, gone: false, waker: None }));
    (Answer(Arc::clone(&slot)), Reply(slot))
}

impl<T> Answer<T> {
    pub(crate) fn send(self, value: T) {
        locked(&self.0).value = Some(value);
        // Dropping wakes.
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let mut slot = locked(&self.0);
        slot.gone = true;
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Reply<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = locked(&self.0);
        if let Some(value) = slot.value.take() {
            return Poll::Ready(Some(value));
        }
        if slot.gone {
            return Poll::Ready(None);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

fn locked<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
