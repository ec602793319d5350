use std::sync::{PoisonError, Weak};

use super::sync::Mutex;

/// Somebody who can make room: it is told once when a budget becomes pressed, and once when it is full and a line begins,
/// not once for each who waits.
///
/// The call says only that a period of pressure begins or became worse. The listener goes on making room for as long as
/// [`Budget::is_pressed`](crate::Budget::is_pressed) says so, without being called again; once that was false, the next
/// period calls again. A call may come late (when the pressure is over) or twice.
pub(crate) trait Relief: Send + Sync {
    /// Must not wait. Called outside of every lock of the budget, after `is_pressed` became true, by the thread that pressed.
    fn relieve(&self);
}

#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<Weak<dyn Relief>>>);

impl Listeners {
    pub(super) fn add(&self, listener: Weak<dyn Relief>) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are gone, where nobody ever calls: a budget that outlives many buffers.
        if listeners.len() == listeners.capacity() {
            listeners.retain(|listener| listener.strong_count() > 0);
        }
        listeners.push(listener);
    }

    /// Calls those who live; the others are forgotten.
    pub(super) fn call(&self) {
        let mut living = Vec::new();
        {
            let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.retain(|listener| {
                let lives = listener.upgrade();
                let keep = lives.is_some();
                living.extend(lives);
                keep
            });
        }
        for listener in living {
            listener.relieve();
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
