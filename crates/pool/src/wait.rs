use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use standpipe_core::{Connect, Error};

use crate::{
    entry::Entry,
    meter,
    queue::Looked,
    shared::{Joined, Shared},
};

/// Waits in the queue. It queues when it is first polled; dropped, it leaves the queue, or hands on what it was given.
/// While nobody runs the pool, the one who waits longest also polls the pool's jobs.
pub(crate) struct Wait<'a, C: Connect> {
    shared: &'a Arc<Shared<C>>,
    ticket: Option<usize>,
    /// When its acquirer first asked.
    since: &'a mut Option<u64>,
}

impl<'a, C: Connect> Wait<'a, C> {
    pub(crate) fn new(shared: &'a Arc<Shared<C>>, since: &'a mut Option<u64>) -> Self {
        Wait { shared, ticket: None, since }
    }

    fn join(&mut self, context: &Context<'_>) -> Poll<Result<Box<Entry<C>>, Error>> {
        let shared = self.shared;
        let is_timed = shared.settings.acquire_timeout != Duration::MAX || cfg!(feature = "metrics");
        let at_front = self.since.is_some();
        let since = *self.since.get_or_insert_with(|| if is_timed { shared.exact() } else { 0 });
        match shared.join(context.waker().clone(), since, at_front) {
            Joined::Taken(entry) => {
                // Jobs that nobody else polls go on with whoever comes by.
                if shared.with(|desk, _| desk.run.is_none() && desk.errands.is_ready()) {
                    shared.drive();
                }
                Poll::Ready(Ok(entry))
            }
            Joined::Refused(error) => Poll::Ready(Err(error)),
            Joined::Queued { ticket, needs_alarm } => {
                self.ticket = Some(ticket);
                if needs_alarm {
                    shared.set_alarm();
                }
                Poll::Pending
            }
        }
    }

    fn look(&mut self, ticket: usize, context: &Context<'_>) -> (Poll<Result<Box<Entry<C>>, Error>>, bool) {
        let (looked, is_ready) = self.shared.with(|desk, _| {
            let looked = desk.queue.look(ticket, context.waker());
            (looked, desk.run.is_none() && desk.errands.is_ready())
        });
        match looked {
            Looked::Settled(given) => {
                self.ticket = None;
                meter::waited(|| self.shared.exact().saturating_sub(self.since.unwrap_or_default()));
                (Poll::Ready(given.map_err(|error| *error)), is_ready)
            }
            Looked::Waiting(replaced) => {
                drop(replaced);
                (Poll::Pending, is_ready)
            }
        }
    }
}

impl<C: Connect> Future for Wait<'_, C> {
    type Output = Result<Box<Entry<C>>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None => match self.join(context) {
                Poll::Ready(given) => return Poll::Ready(given),
                Poll::Pending => match self.ticket {
                    Some(ticket) => ticket,
                    None => return Poll::Pending,
                },
            },
        };
        let (looked, is_ready) = self.look(ticket, context);
        if looked.is_ready() || !is_ready {
            return looked;
        }
        self.shared.drive();
        self.look(ticket, context).0
    }
}

impl<C: Connect> Drop for Wait<'_, C> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.leave(ticket);
        }
    }
}
