use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// Runs a future to its end on this thread, which sleeps while the future waits. Needs no runtime.
///
/// ```
/// assert_eq!(standpipe_testkit::block_on(async { 1 + 1 }), 2);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// As [`block_on`], but gives up and drops the future after `patience`: `None`.
pub fn block_on_for<F: Future>(future: F, patience: Duration) -> Option<F::Output> {
    let mut future = pin!(future);
    let deadline = Instant::now() + patience;
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::{future, sync::mpsc};

    use super::*;

    #[test]
    fn a_wake_from_another_thread_is_heard() {
        let (wake, woken) = mpsc::channel::<Waker>();
        let other = thread::spawn(move || woken.recv().map(Waker::wake));
        let mut polls = 0;
        let done = block_on_for(
            future::poll_fn(move |context| {
                polls += 1;
                if polls > 1 {
                    return Poll::Ready(polls);
                }
                wake.send(context.waker().clone()).ok();
                Poll::Pending
            }),
            Duration::from_secs(60),
        );
        assert!(done >= Some(2));
        assert!(other.join().is_ok());
    }

    #[test]
    fn patience_ends() {
        assert_eq!(block_on_for(future::pending::<()>(), Duration::from_millis(1)), None);
    }
}
