use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use standpipe_core::{Connect, Error};

use crate::{loan::Loan, shared::Shared, state::Asked};

/// Waits in the queue for a place. It queues when it is first polled; dropped, it leaves the queue, or hands on
/// what it was served.
pub(crate) struct Wait<'a, C: Connect> {
    shared: &'a Arc<Shared<C>>,
    number: Option<u64>,
}

impl<'a, C: Connect> Wait<'a, C> {
    pub(crate) fn new(shared: &'a Arc<Shared<C>>) -> Self {
        Wait { shared, number: None }
    }
}

impl<C: Connect> Future for Wait<'_, C> {
    type Output = Result<Loan<C>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let number = self.number.take();
        match self.shared.with(|state| state.ask(number, waker)) {
            Asked::Served(place) => Poll::Ready(Ok(Loan::new(self.shared, place))),
            Asked::Queued(number, _replaced) => {
                self.number = Some(number);
                Poll::Pending
            }
            Asked::Full => Poll::Ready(Err(Error::retry(format!(
                "{} acquirers wait for a connection already, the most that waiters_max allows",
                self.shared.settings.waiters_max
            )))),
            Asked::Closed => Poll::Ready(Err(closed())),
        }
    }
}

impl<C: Connect> Drop for Wait<'_, C> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let (_waker, served) = self.shared.with(|state| state.leave(number));
        if let Some(place) = served {
            drop(Loan::new(self.shared, place));
        }
    }
}

pub(crate) fn closed() -> Error {
    Error::closed("the pool is closed")
}
