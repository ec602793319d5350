//! A small pool of another make that can be given one known fault: what rejects the fault must accept it without.
use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use standpipe_core::{Acquire, Connect, Error, Lease};
use tokio::sync::{Notify, Semaphore};

use crate::backend::{Backend, Wire, clock};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// K1: `let _permit = ..` dropped when acquire returns.
    PermitDropped,
    /// P3, P4: the permit is forgotten before connecting, and given back only by the lease.
    SlotLost,
    /// P5: a connect that fails is tried again, and in the end it is a timeout.
    ErrorHidden,
    /// P7: the age is not looked at on return.
    LifeIgnored,
    /// P10: who comes may take what was just given back, whoever waits.
    Barging,
    /// P11: the connection under check is owned by the future, and goes with it.
    CheckedDestroyed,
}

#[derive(Clone)]
pub(crate) struct WrongPool(Arc<Inner>);

struct Inner {
    backend: Backend,
    fault: Fault,
    places: usize,
    life_max: Duration,
    permits: Semaphore,
    returned: Notify,
    idle: Mutex<Vec<(Wire, Instant)>>,
}

/// A place, and what is in it.
pub(crate) struct Seat {
    inner: Arc<Inner>,
    wire: Option<(Wire, Instant)>,
    holds_permit: bool,
}

impl WrongPool {
    pub(crate) fn new(backend: &Backend, places: usize, life_max: Duration, fault: Fault) -> Self {
        WrongPool(Arc::new(Inner {
            backend: backend.clone(),
            fault,
            places,
            life_max,
            permits: Semaphore::new(places),
            returned: Notify::new(),
            idle: Mutex::default(),
        }))
    }

    pub(crate) fn in_use(&self) -> usize {
        self.0.places.saturating_sub(self.0.permits.available_permits())
    }

    pub(crate) fn idle(&self) -> usize {
        self.0.idle.lock().unwrap().len()
    }
}

impl Acquire for WrongPool {
    type Connection = Wire;
    type Lease = Seat;

    async fn acquire(&self) -> Result<Seat, Error> {
        let inner = &self.0;
        let permit = if inner.fault == Fault::Barging {
            loop {
                if let Ok(permit) = inner.permits.try_acquire() {
                    break permit;
                }
                inner.returned.notified().await;
            }
        } else {
            inner.permits.acquire().await.unwrap()
        };
        permit.forget();
        let mut seat = Seat { inner: Arc::clone(inner), wire: None, holds_permit: true };
        seat.wire = inner.idle.lock().unwrap().pop();
        if inner.fault == Fault::SlotLost {
            seat.holds_permit = false;
        }
        if inner.fault == Fault::CheckedDestroyed
            && let Some(mut owned) = seat.wire.take()
        {
            inner.backend.check(&mut owned.0).await?;
            seat.wire = Some(owned);
        } else if let Some((wire, _)) = &mut seat.wire {
            inner.backend.check(wire).await?;
        }
        let mut tries = if inner.fault == Fault::ErrorHidden { 3 } else { 1 };
        while seat.wire.is_none() {
            tries -= 1;
            match inner.backend.connect().await {
                Ok(wire) => seat.wire = Some((wire, clock())),
                Err(error) if inner.fault != Fault::ErrorHidden => return Err(error),
                Err(_) if tries == 0 => return Err(Error::retry("timed out waiting for a connection")),
                Err(_) => {}
            }
        }
        seat.holds_permit = true;
        if inner.fault == Fault::PermitDropped {
            seat.free();
        }
        Ok(seat)
    }
}

impl Seat {
    fn free(&mut self) {
        if std::mem::take(&mut self.holds_permit) {
            self.inner.permits.add_permits(1);
            self.inner.returned.notify_one();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((mut wire, born)) = self.wire.take() {
            let is_old = clock().saturating_duration_since(born) >= self.inner.life_max;
            if !self.inner.backend.is_broken(&mut wire) && (!is_old || self.inner.fault == Fault::LifeIgnored)
            {
                self.inner.idle.lock().unwrap().push((wire, born));
            }
        }
        self.free();
    }
}

impl Deref for Seat {
    type Target = Wire;
    fn deref(&self) -> &Wire {
        &self.wire.as_ref().unwrap().0
    }
}

impl DerefMut for Seat {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire.as_mut().unwrap().0
    }
}

impl Lease for Seat {
    type Connection = Wire;
    fn discard(mut self) {
        self.wire = None;
    }
}
