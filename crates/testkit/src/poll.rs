//! Driving futures by hand, without a runtime.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::{Duration, Instant},
};

/// How long [`within`] waits before it calls a future stuck.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(3);

/// Lets other tasks of the runtime run once.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls once and says what came of it.
pub(crate) async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Polls at most `polls` times, whether woken or not, yielding to the runtime in between.
pub(crate) async fn poll_times<F: Future + ?Sized>(
    mut future: Pin<&mut F>,
    polls: usize,
) -> Option<F::Output> {
    for _ in 0..polls {
        if let Some(output) = poll_once(future.as_mut()).await {
            return Some(output);
        }
        yield_once().await;
    }
    None
}

/// Polls until the future is ready, and gives up after [`STUCK_AFTER`], so that a defect is a failure and no hang.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let started = Instant::now();
    loop {
        if let Some(output) = poll_times(future.as_mut(), 64).await {
            return output;
        }
        assert!(started.elapsed() < STUCK_AFTER, "{what}: still waiting after {STUCK_AFTER:?}");
        std::thread::yield_now();
    }
}

/// Drives two futures side by side until both are ready.
pub(crate) async fn join<A: Future, B: Future>(
    mut a: Pin<&mut A>,
    mut b: Pin<&mut B>,
) -> (A::Output, B::Output) {
    let (mut first, mut second) = (None, None);
    poll_fn(move |context| {
        if first.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            second = Some(output);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(two)) => Poll::Ready((one, two)),
            (one, two) => {
                (first, second) = (one, two);
                Poll::Pending
            }
        }
    })
    .await
}

/// Drives `future` until it is ready or `limit` is; `None` when `limit` was first.
pub(crate) async fn until<F: Future, L: Future>(
    mut future: Pin<&mut F>,
    mut limit: Pin<&mut L>,
) -> Option<F::Output> {
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        limit.as_mut().poll(context).map(|_| None)
    })
    .await
}
