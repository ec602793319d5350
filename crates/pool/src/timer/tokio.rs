use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use tokio::runtime::Handle;

use super::{Alarm, ThreadTimer, Timer};

/// Tokio's clock and timers, which a test can pause. An alarm is a task of the runtime in which it is set; when that is shut
/// down, or there is none, [`ThreadTimer`] rings in its stead.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTimer;

impl Timer for TokioTimer {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wake_at(&self, at: Instant, waker: Waker) -> Alarm {
        let Ok(runtime) = Handle::try_current() else { return ThreadTimer.wake_at(at, waker) };
        let heir = Arc::new(Mutex::new(Heir::None));
        let ringing = Ringing { at, waker: Some(waker), sleep: None, heir: Arc::clone(&heir) };
        let task = runtime.spawn(ringing);
        Alarm::new(move || {
            let before =
                mem::replace(&mut *heir.lock().unwrap_or_else(PoisonError::into_inner), Heir::Unwanted);
            drop(before);
            task.abort();
        })
    }
}

/// Who rings when the task is dropped by its runtime.
enum Heir {
    None,
    Thread { _alarm: Alarm },
    Unwanted,
}

struct Ringing {
    at: Instant,
    waker: Option<Waker>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    heir: Arc<Mutex<Heir>>,
}

impl Future for Ringing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at.into())));
        let rung = sleep.as_mut().poll(context);
        if rung.is_ready() {
            self.waker.take().into_iter().for_each(Waker::wake);
        }
        rung
    }
}

impl Drop for Ringing {
    fn drop(&mut self) {
        let Some(waker) = self.waker.take() else { return };
        let mut heir = self.heir.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*heir, Heir::None) {
            *heir = Heir::Thread { _alarm: ThreadTimer.wake_at(self.at, waker) };
        } else {
            drop(heir);
            drop(waker);
        }
    }
}
