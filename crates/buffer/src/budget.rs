use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::{Acquire, BudgetError, Permit, meter, park};

/// A fixed number of bytes, handed out as [`Permit`]s in the order in which they were asked for.
///
/// Strictly first come, first served: while anyone waits, nobody who came later gets bytes, however few they
/// ask for. What comes free is kept for the one who waits longest until its request fits, so a large request is not
/// starved by small ones. A request larger than the whole budget is refused at once.
///
/// A clone is another handle to the same budget. Everything is behind one short mutex; wakers are called outside of it.
///
/// ```
/// use standpipe_buffer::Budget;
///
/// let budget = Budget::new(1024);
/// let permit = budget.acquire_blocking(1000)?;
/// assert!(budget.try_acquire(100).is_none());
/// drop(permit);
/// assert_eq!(budget.in_use(), 0);
/// # Ok::<(), standpipe_buffer::BudgetError>(())
/// ```
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

impl Budget {
    /// A budget of `limit_bytes`, none of them in use.
    #[must_use]
    pub fn new(limit_bytes: u64) -> Self {
        let state = State {
            free: limit_bytes,
            peak: 0,
            closed: false,
            waiting: BTreeMap::new(),
            granted: HashSet::new(),
            next_ticket: 0,
        };
        Self { shared: Arc::new(Shared { limit: limit_bytes, state: Mutex::new(state) }) }
    }

    /// Waits for `bytes` and returns them as a permit. The place in the line is taken at the first poll.
    ///
    /// # Errors
    /// [`BudgetError::TooLarge`] at once when `bytes` exceeds [`limit`](Self::limit); [`BudgetError::Closed`] when the
    /// budget is or becomes closed before the bytes are granted.
    ///
    /// # Cancel safety
    /// Dropping the future at any point gives back what it was granted and lets the next waiter go on.
    /// Its place in the line is lost.
    pub fn acquire(&self, bytes: u64) -> Acquire {
        Acquire::new(self.clone(), bytes)
    }

    /// As [`acquire`](Self::acquire), but blocks the calling thread. Stands in the same line as the async callers.
    /// Must not be called from an async task.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn acquire_blocking(&self, bytes: u64) -> Result<Permit, BudgetError> {
        park::block_on(self.acquire(bytes))
    }

    /// Takes `bytes` if they are free now and nobody waits. Never blocks.
    #[must_use]
    pub fn try_acquire(&self, bytes: u64) -> Option<Permit> {
        let mut state = self.lock();
        let granted = !state.closed && state.take_if_first(bytes, self.shared.limit);
        drop(state);
        granted.then(|| self.permit(bytes))
    }

    /// Refuses every waiting and every later request. Permits that are out stay valid and come back as usual.
    pub fn close(&self) {
        let refused = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        for waiter in refused.into_values() {
            meter::waiters(-1);
            waiter.waker.wake();
        }
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The whole budget, in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.shared.limit
    }

    /// Bytes held by permits now, those included that are granted but not yet picked up by their waiter.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.shared.limit - self.lock().free
    }

    /// The most bytes that were in use at one time since the budget was made.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.lock().peak
    }

    /// How many requests wait.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.lock().waiting.len()
    }

    pub(crate) fn is_pressed(&self) -> bool {
        let state = self.lock();
        !state.waiting.is_empty() || state.free < self.shared.limit / 4
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn release(&self, bytes: u64) {
        let woken = {
            let mut state = self.lock();
            state.free += bytes;
            state.grant(self.shared.limit)
        };
        meter::bytes_released(bytes);
        wake(woken);
    }

    /// The first poll of a request: granted, refused, or queued under the ticket that is returned.
    pub(crate) fn ask(&self, bytes: u64, waker: &Waker) -> Result<Result<Permit, Ticket>, BudgetError> {
        let limit = self.shared.limit;
        if bytes > limit {
            return Err(BudgetError::TooLarge { bytes, limit });
        }
        let waker = waker.clone();
        let mut state = self.lock();
        if state.closed {
            return Err(BudgetError::Closed);
        }
        if state.take_if_first(bytes, limit) {
            drop(state);
            return Ok(Ok(self.permit(bytes)));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.insert(ticket, Waiter { bytes, waker });
        drop(state);
        meter::waiters(1);
        Ok(Err(ticket))
    }

    /// A later poll of a queued request.
    pub(crate) fn ask_again(
        &self,
        ticket: Ticket,
        bytes: u64,
        waker: &Waker,
    ) -> Poll<Result<Permit, BudgetError>> {
        // A waker that is replaced is dropped after the lock: dropping it may free a task, and with it permits.
        let waker = waker.clone();
        let mut state = self.lock();
        if state.granted.remove(&ticket) {
            drop(state);
            return Poll::Ready(Ok(self.permit(bytes)));
        }
        let Some(waiter) = state.waiting.get_mut(&ticket) else {
            return Poll::Ready(Err(BudgetError::Closed));
        };
        let replaced = std::mem::replace(&mut waiter.waker, waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// A queued request goes away; what it was granted goes to the next.
    pub(crate) fn leave(&self, ticket: Ticket, bytes: u64) {
        let mut state = self.lock();
        if state.granted.remove(&ticket) {
            drop(state);
            self.release_unmetered(bytes);
            return;
        }
        let left = state.waiting.remove(&ticket);
        let woken = state.grant(self.shared.limit);
        drop(state);
        if left.is_some() {
            meter::waiters(-1);
        }
        wake(woken);
    }

    /// Gives back bytes that never became a permit, so never were in the gauge.
    fn release_unmetered(&self, bytes: u64) {
        let woken = {
            let mut state = self.lock();
            state.free += bytes;
            state.grant(self.shared.limit)
        };
        wake(woken);
    }

    fn permit(&self, bytes: u64) -> Permit {
        meter::bytes_taken(bytes);
        Permit::new(self.clone(), bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under this lock, so the state is whole even after a panic elsewhere.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("limit", &self.limit())
            .field("in_use", &self.in_use())
            .field("waiters", &self.waiters())
            .finish()
    }
}

/// A place in the line; the lower, the older.
pub(crate) type Ticket = u64;

struct Shared {
    limit: u64,
    state: Mutex<State>,
}

struct State {
    free: u64,
    peak: u64,
    closed: bool,
    waiting: BTreeMap<Ticket, Waiter>,
    /// Bytes already subtracted from `free` whose waiter has not been polled since.
    granted: HashSet<Ticket>,
    next_ticket: Ticket,
}

struct Waiter {
    bytes: u64,
    waker: Waker,
}

impl State {
    fn take_if_first(&mut self, bytes: u64, limit: u64) -> bool {
        let fits = self.waiting.is_empty() && bytes <= self.free;
        if fits {
            self.take(bytes, limit);
        }
        fits
    }

    fn take(&mut self, bytes: u64, limit: u64) {
        self.free -= bytes;
        self.peak = self.peak.max(limit - self.free);
    }

    /// Grants from the front of the line for as long as the front fits. What is left over stays reserved for the
    /// front, because nobody else may take while it waits.
    fn grant(&mut self, limit: u64) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some(first) = self.waiting.first_entry() {
            if first.get().bytes > self.free {
                break;
            }
            let (ticket, waiter) = first.remove_entry();
            self.take(waiter.bytes, limit);
            self.granted.insert(ticket);
            woken.push(waiter.waker);
        }
        woken
    }
}

fn wake(woken: Vec<Waker>) {
    for waker in woken {
        meter::waiters(-1);
        waker.wake();
    }
}
