use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::budget::Ticket;
use crate::meter::Since;
use crate::{Budget, BudgetError, Permit};

/// The future of [`Budget::acquire`]: resolves to the permit, or to why there is none.
///
/// # Cancel safety
/// May be dropped at any point: bytes that were granted to it go to the next in line.
///
/// # Panics
/// When polled again after it has resolved.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Acquire {
    /// `None` once it has resolved: the permit has it.
    budget: Option<Budget>,
    bytes: u64,
    queued: Option<(Ticket, Since)>,
}

impl Acquire {
    pub(crate) fn new(budget: Budget, bytes: u64) -> Self {
        Self { budget: Some(budget), bytes, queued: None }
    }
}

impl Future for Acquire {
    type Output = Result<Permit, BudgetError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { budget: kept, bytes, queued } = &mut *self;
        let Some(budget) = kept else { panic!("`Acquire` polled after it resolved") };
        let answer = match *queued {
            Some((ticket, since)) => {
                let answer = budget.ask_again(ticket, cx.waker());
                if answer.is_ready() {
                    *queued = None;
                    since.waited();
                }
                answer
            }
            None => match budget.ask(*bytes, cx.waker()) {
                Ok(None) => Poll::Ready(Ok(())),
                Ok(Some(ticket)) => {
                    *queued = Some((ticket, Since::now()));
                    Poll::Pending
                }
                Err(refused) => Poll::Ready(Err(refused)),
            },
        };
        let Poll::Ready(answer) = answer else { return Poll::Pending };
        // Moved, not copied: the count of handles is as busy as the bytes.
        let Some(budget) = kept.take() else { return Poll::Pending };
        Poll::Ready(answer.map(|()| Permit::new(budget, *bytes)))
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let (Some((ticket, _)), Some(budget)) = (self.queued, &self.budget) {
            budget.leave(ticket, self.bytes);
        }
    }
}
