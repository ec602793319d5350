use std::{task::Waker, time::Instant};

use super::{Alarm, Timer};

/// Tokio's clock and timers, which a test can pause. An alarm is a task of the runtime in which it is set.
///
/// # Panics
/// Setting an alarm outside of a runtime, or in one without its time enabled.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTimer;

impl Timer for TokioTimer {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wake_at(&self, at: Instant, waker: Waker) -> Alarm {
        let task = tokio::spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            waker.wake();
        });
        Alarm::new(move || task.abort())
    }
}
