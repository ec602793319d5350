//! The connections of a handle that are open, so that they can all be ended, whoever holds them.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::wire::Wire;

/// How long taking leave of the server may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection, until it is taken away. Nobody waits for the lock but who closes.
pub(crate) type Slot = tokio::sync::Mutex<Option<Wire>>;

#[derive(Default)]
pub(crate) struct Registry {
    slots: Mutex<Vec<Weak<Slot>>>,
    is_closed: AtomicBool,
    closing: Notify,
}

impl Registry {
    /// Takes a connection in.
    pub(crate) fn register(&self, wire: Wire) -> Arc<Slot> {
        let slot = Arc::new(Slot::new(Some(wire)));
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|known| known.strong_count() > 0);
        slots.push(Arc::downgrade(&slot));
        slot
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Returns when the handle is closed.
    pub(crate) async fn closed(&self) {
        loop {
            let closing = self.closing.notified();
            if self.is_closed() {
                return;
            }
            closing.await;
        }
    }

    /// Cuts off the calls that are under way and ends every connection.
    pub(crate) async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.closing.notify_waiters();
        let slots = std::mem::take(&mut *self.slots.lock().unwrap_or_else(PoisonError::into_inner));
        for slot in slots.iter().filter_map(Weak::upgrade) {
            if let Some(wire) = slot.lock().await.take() {
                // A server that does not answer notices by itself.
                let _ = tokio::time::timeout(LEAVE_TIMEOUT, wire.close()).await;
            }
        }
    }
}
