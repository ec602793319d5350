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
        let (entered, replaced) = self.shared.with(|desk, _| desk.await_empty(number, waker));
        drop(replaced);
        self.number = Some(entered);
        if number.is_none() {
            self.shared.shut();
        }
        self.shared.drive();
        if self.shared.with(|desk, _| desk.size == 0) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<C: Connect> Drop for Closing<'_, C> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            drop(self.shared.with(|desk, _| desk.leave_closing(number)));
            self.shared.take_no_leave();
        }
    }
}

impl<C: Connect> Shared<C> {
    /// Who waited for connections to take leave is gone: they are dropped, unless somebody else is there.
    pub(crate) fn take_no_leave(&self) {
        let jobs = self.with(|desk, _| {
            if desk.takes_leave() { Vec::new() } else { desk.errands.cancel(|kind| kind == Kind::Close) }
        });
        drop_each(jobs);
    }

    /// Refuses everyone from now on, and closes what nobody holds.
    pub(crate) fn shut(self: &Arc<Self>) {
        let (jobs, alarm) = self.with(|desk, after| {
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
        drop(alarm);
        let mut steps = Steps::default();
        steps.take(|| drop_each(jobs));
        steps.take(|| self.match_up());
        steps.pass_on();
    }
}
