mod thread;
#[cfg(feature = "tokio")]
mod tokio;
mod within;

use std::{
    fmt,
    task::Waker,
    time::{Duration, Instant},
};

pub use self::thread::ThreadTimer;
#[cfg(feature = "tokio")]
pub use self::tokio::TokioTimer;
pub(crate) use self::within::{Sleep, within};

/// What time it is, and who wakes at a time: all that a pool needs of a runtime.
///
/// # Duties of an implementer
/// 1. `now` never goes back.
/// 2. `wake_at` returns at once, and wakes once, at the time or soon after, unless the alarm is dropped before.
/// 3. The waker is called, and dropped, outside of every lock that `wake_at` or dropping an alarm takes.
pub trait Timer: fmt::Debug + Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> Instant;

    /// Wakes `waker` at `at`.
    fn wake_at(&self, at: Instant, waker: Waker) -> Alarm;
}

/// A wake that is to come. Dropped, it does not come any more.
pub struct Alarm {
    cancel: Option<Box<dyn FnOnce() + Send>>,
}

impl Alarm {
    /// `cancel` is called when the alarm is dropped, also when it has rung.
    #[must_use]
    pub fn new(cancel: impl FnOnce() + Send + 'static) -> Self {
        Alarm { cancel: Some(Box::new(cancel)) }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            cancel();
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

/// `None` is never.
pub(crate) fn after(timer: &dyn Timer, wait: Duration) -> Option<Instant> {
    if crate::planted::is(crate::planted::Plant::NoTimeouts) {
        return None;
    }
    timer.now().checked_add(wait)
}
