use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use standpipe_core::{Connect, Error};

use crate::{
    desk::Given,
    entry::Entry,
    errands::Steps,
    meter,
    queue::{Looked, Seat},
    shared::{Joined, Shared},
};

/// Waits in the queue. It queues when it is first polled; dropped, it leaves the queue, or hands on what it was given.
/// While nobody runs the pool, the one who waits longest also polls the pool's jobs.
pub(crate) struct Wait<'a, C: Connect> {
    shared: &'a Arc<Shared<C>>,
    seat: Option<Arc<Seat<Given<C>>>>,
    /// When its acquirer first asked.
    since: &'a mut Option<u64>,
}

impl<'a, C: Connect> Wait<'a, C> {
    pub(crate) fn new(shared: &'a Arc<Shared<C>>, since: &'a mut Option<u64>) -> Self {
        Wait { shared, seat: None, since }
    }

    fn join(&mut self, context: &Context<'_>) -> Poll<Result<Box<Entry<C>>, Error>> {
        let shared = self.shared;
        let at_front = self.since.is_some();
        let since = *self.since.get_or_insert_with(|| shared.asked());
        let mut steps = Steps::default();
        match shared.join(&mut steps, context.waker().clone(), since, at_front) {
            Joined::Taken(entry) => {
                steps.pass_on();
                // Jobs that nobody else polls go on with whoever comes by.
                if shared.with(|desk, _| desk.is_to_be_driven()) {
                    shared.drive();
                }
                Poll::Ready(Ok(entry))
            }
            Joined::Refused(error) => {
                steps.pass_on();
                Poll::Ready(Err(error))
            }
            Joined::Queued { seat, needs_alarm, is_ready } => {
                // Before a panic goes on: who goes away has to leave his seat.
                self.seat = Some(seat);
                steps.pass_on();
                if needs_alarm {
                    shared.set_alarm();
                }
                if is_ready {
                    shared.drive();
                    return self.look(context);
                }
                Poll::Pending
            }
        }
    }

    fn look(&mut self, context: &Context<'_>) -> Poll<Result<Box<Entry<C>>, Error>> {
        let Some(seat) = &self.seat else { return Poll::Pending };
        let Looked::Settled(given) = seat.look(context.waker()) else { return Poll::Pending };
        let seat = self.seat.take();
        meter::waited(|| self.shared.exact().saturating_sub(self.since.unwrap_or_default()));
        Poll::Ready(match given {
            Ok(mut entry) => {
                entry.spare = seat;
                Ok(entry)
            }
            Err(error) => Err(*error),
        })
    }
}

impl<C: Connect> Future for Wait<'_, C> {
    type Output = Result<Box<Entry<C>>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.seat.is_none() {
            return self.join(context);
        }
        let looked = self.look(context);
        // Woken for nothing, it was called to poll the pool's jobs.
        if looked.is_pending() && self.shared.with(|desk, _| desk.is_to_be_driven()) {
            self.shared.drive();
            return self.look(context);
        }
        looked
    }
}

impl<C: Connect> Drop for Wait<'_, C> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.shared.leave(&seat);
        }
    }
}
