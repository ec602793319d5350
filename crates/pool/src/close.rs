use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use standpipe_core::Connect;

use crate::{
    errands::{Kind, Steps, drop_each},
    queue::Settled,
    shared::Shared,
    told::closed,
};

/// Closes a pool, and waits until nothing of it is left. Dropped, it stops waiting.
pub(crate) struct Closing<'a, C: Connect> {
    shared: &'a Arc<Shared<C>>,
    number: Option<u64>,
}

impl<'a, C: Connect> Closing<'a, C> {
    pub(crate) fn new(shared: &'a Arc<Shared<C>>) -> Self {
        Closing { shared, number: None }
    }
}

impl<C: Connect> Future for Closing<'_, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (waker, number) = (Arc::new(context.waker().clone()), self.number);
        let mut steps = Steps::default();
        let (entered, replaced) =
            self.shared.with_first(&mut steps, |desk, _| desk.await_empty(number, waker));
        self.number = Some(entered);
        steps.take(|| drop(replaced));
        if number.is_none() {
            steps.take(|| self.shared.shut());
        }
        steps.take(|| self.shared.drive());
        let is_empty = self.shared.with_first(&mut steps, |desk, _| desk.size == 0);
        steps.pass_on();
        if is_empty { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<C: Connect> Drop for Closing<'_, C> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let mut steps = Steps::default();
            let waker = self.shared.with_first(&mut steps, |desk, _| desk.leave_closing(number));
            steps.take(|| drop(waker));
            steps.take(|| self.shared.take_no_leave());
            steps.pass_on();
        }
    }
}

impl<C: Connect> Shared<C> {
    /// Who waited for connections to take leave is gone: they are dropped, unless somebody else is there.
    pub(crate) fn take_no_leave(&self) {
        let mut steps = Steps::default();
        let jobs = self.with_first(&mut steps, |desk, _| {
            if desk.takes_leave() { Vec::new() } else { desk.errands.cancel(|kind| kind == Kind::Close) }
        });
        steps.take(|| drop_each(jobs));
        steps.pass_on();
    }

    /// Refuses everyone from now on, and closes what nobody holds.
    pub(crate) fn shut(self: &Arc<Self>) {
        let mut steps = Steps::default();
        let (jobs, alarm) = self.with_first(&mut steps, |desk, after| {
            desk.is_closed = true;
            self.is_closed.store(true, Ordering::Release);
            let takes_leave = desk.takes_leave();
            while let Settled::Given(waker) = desk.queue.settle(Err(Box::new(closed()))) {
                after.more.extend(waker);
            }
            let jobs = desk.errands.cancel(|kind| kind != Kind::Close || !takes_leave);
            after.closers.extend(desk.run.clone());
            (jobs, desk.alarm.take())
        });
        steps.take(|| drop(alarm));
        steps.take(|| drop_each(jobs));
        steps.take(|| self.match_up());
        steps.pass_on();
    }
}
