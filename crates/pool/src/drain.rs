use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use standpipe_core::Connect;

use crate::shared::Shared;

/// Waits until nothing of a closed pool is in use. Dropped, it stops waiting.
pub(crate) struct Drain<'a, C: Connect> {
    shared: &'a Shared<C>,
    number: Option<u64>,
}

impl<'a, C: Connect> Drain<'a, C> {
    pub(crate) fn new(shared: &'a Shared<C>) -> Self {
        Drain { shared, number: None }
    }
}

impl<C: Connect> Future for Drain<'_, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let number = self.number;
        match self.shared.with(|state| state.await_drained(number, waker)) {
            Some((number, _replaced)) => {
                self.number = Some(number);
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl<C: Connect> Drop for Drain<'_, C> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            drop(self.shared.with(|state| state.leave_drain(number)));
        }
    }
}
