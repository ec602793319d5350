use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{Alarm, Timer, after};

/// Ends at a time; `None` is never.
pub(crate) struct Sleep {
    timer: &'static dyn Timer,
    at: Option<Instant>,
    alarm: Option<(Waker, Alarm)>,
}

impl Sleep {
    pub(crate) fn until(timer: &'static dyn Timer, at: Option<Instant>) -> Self {
        Sleep { timer, at, alarm: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        if self.timer.now() >= at {
            return Poll::Ready(());
        }
        if !self.alarm.as_ref().is_some_and(|(waker, _)| waker.will_wake(context.waker())) {
            let alarm = self.timer.wake_at(at, context.waker().clone());
            self.alarm = Some((context.waker().clone(), alarm));
        }
        Poll::Pending
    }
}

/// What comes of a future unless it takes longer. The clock is looked at only when it does not end at once.
pub(crate) async fn within<F: Future>(
    timer: &'static dyn Timer,
    most: Duration,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut limit: Option<Sleep> = None;
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        let limit = limit.get_or_insert_with(|| Sleep::until(timer, after(timer, most)));
        Pin::new(limit).poll(context).map(|()| None)
    })
    .await
}
