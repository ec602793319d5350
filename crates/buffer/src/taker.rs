use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Instant;

use crate::shared::{Polled, Shared};
use crate::{Clock, Taken, park};

/// One who takes batches from [`Lanes`](crate::Lanes), with a place of its own among those who wait.
///
/// # When it is woken
/// - When a lane becomes due (by rows, bytes, flush, pressure, closing, a batch given back), one waiting taker is woken
///   for each due lane, the longest waiting first.
/// - When [`deadline`](Self::deadline) becomes earlier than it was at the last poll, so that it can set its timer anew.
/// - When the lanes are closed and the last batch is settled.
///
/// A lane that becomes due by age wakes nobody: the buffer has no clock. Poll again at [`deadline`](Self::deadline).
///
/// A taker that was woken must be polled, [stepped back](Self::step_back) or dropped, else the lane it was woken for waits for it.
/// Dropping it passes its wake on.
pub struct Taker<K: Clone + Eq + Hash, T> {
    shared: Arc<Shared<K, T>>,
    place: Option<u64>,
}

impl<K: Clone + Eq + Hash, T> Taker<K, T> {
    pub(crate) fn new(shared: Arc<Shared<K, T>>) -> Self {
        Self { shared, place: None }
    }

    /// The next due lane's batch as of `now`, `None` when the lanes are closed, empty and no batch is out.
    ///
    /// When pending, the caller must poll again when woken and at [`deadline`](Self::deadline), whichever is first.
    /// The core of the other ways to take; reads no clock, sets no timer.
    pub fn poll_take(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Option<Taken<K, T>>> {
        match self.look(now, cx) {
            Polled::Ready(taken) => Poll::Ready(taken),
            Polled::LookAgain(_) => Poll::Pending,
        }
    }

    fn look(&mut self, now: Instant, cx: &Context<'_>) -> Polled<K, T> {
        self.shared.poll_take(&mut self.place, now, cx.waker().clone())
    }

    /// When the next lane becomes due by the age of its oldest item, if nothing else happens first.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.shared.read(|schedule| schedule.deadline())
    }

    /// Stops waiting until the next poll, and passes a wake on that was meant for this taker.
    pub fn step_back(&mut self) {
        if let Some(ticket) = self.place.take() {
            let _waker = self.shared.change(|schedule| schedule.takers.leave(ticket));
        }
    }

    /// Waits for the next due lane's batch; `None` when the lanes are closed, empty and no batch is out.
    ///
    /// One who keeps a batch out and waits here after closing waits for that batch.
    ///
    /// # Cancel safety
    /// Dropping the future at any point loses nothing: a batch leaves its lane only in the poll that returns it.
    pub async fn take<C: Clock>(&mut self, clock: &C) -> Option<Taken<K, T>> {
        let waiting = Waiting(self);
        let mut armed = None;
        let mut sleep = pin!(None::<C::Sleep>);
        poll_fn(|cx| {
            let deadline = match waiting.0.look(clock.now(), cx) {
                Polled::Ready(taken) => return Poll::Ready(taken),
                Polled::LookAgain(at) => at,
            };
            if armed != deadline {
                armed = deadline;
                sleep.as_mut().set(deadline.map(|at| clock.sleep_until(at)));
            }
            if let Some(timer) = sleep.as_mut().as_pin_mut()
                && timer.poll(cx).is_ready()
            {
                // Look again by way of the executor, so that a timer that rings early cannot spin here.
                armed = None;
                sleep.as_mut().set(None);
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    /// As [`take`](Self::take), but blocks the calling thread and uses the system's clock.
    /// Must not be called from an async task.
    pub fn take_blocking(&mut self) -> Option<Taken<K, T>> {
        let waker = park::waker();
        let cx = Context::from_waker(&waker);
        loop {
            let now = Instant::now();
            match self.look(now, &cx) {
                Polled::Ready(taken) => return taken,
                Polled::LookAgain(Some(at)) => thread::park_timeout(at.saturating_duration_since(now)),
                Polled::LookAgain(None) => thread::park(),
            }
        }
    }
}

impl<K: Clone + Eq + Hash, T> Drop for Taker<K, T> {
    fn drop(&mut self) {
        self.step_back();
    }
}

impl<K: Clone + Eq + Hash, T> fmt::Debug for Taker<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taker").field("waits", &self.place.is_some()).finish_non_exhaustive()
    }
}

/// A taker whose waker goes stale when this is dropped.
struct Waiting<'a, K: Clone + Eq + Hash, T>(&'a mut Taker<K, T>);

impl<K: Clone + Eq + Hash, T> Drop for Waiting<'_, K, T> {
    fn drop(&mut self) {
        self.0.step_back();
    }
}
