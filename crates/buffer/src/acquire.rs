use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::budget::Ticket;
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
    budget: Budget,
    bytes: u64,
    stage: Stage,
}

impl Acquire {
    pub(crate) fn new(budget: Budget, bytes: u64) -> Self {
        Self { budget, bytes, stage: Stage::Unasked }
    }
}

impl Future for Acquire {
    type Output = Result<Permit, BudgetError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match self.stage {
            Stage::Unasked => match self.budget.ask(self.bytes, cx.waker()) {
                Ok(Err(ticket)) => {
                    self.stage = Stage::Queued(ticket);
                    Poll::Pending
                }
                Ok(Ok(permit)) => Poll::Ready(Ok(permit)),
                Err(error) => Poll::Ready(Err(error)),
            },
            Stage::Queued(ticket) => self.budget.ask_again(ticket, self.bytes, cx.waker()),
            Stage::Done => panic!("`Acquire` polled after it resolved"),
        };
        if answer.is_ready() {
            self.stage = Stage::Done;
        }
        answer
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let Stage::Queued(ticket) = self.stage {
            self.budget.leave(ticket, self.bytes);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Unasked,
    Queued(Ticket),
    Done,
}
