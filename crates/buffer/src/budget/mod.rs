//! The byte budget: [`Word`](word::Word) is what every request goes through, the rest is for when bytes run short.

mod admit;
mod drain;
#[cfg(all(test, loom))]
mod loom_tests;
mod queue;
mod relief;
mod round;
mod shared;
mod slope;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
mod word;

use std::fmt;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) use queue::Ticket;
pub(crate) use relief::Relief;
pub(crate) use round::Panicked;
use shared::Shared;

use crate::{Acquire, BudgetError, Permit, park};

/// A fixed number of bytes, handed out as [`Permit`]s in the order in which they were asked for.
///
/// Strictly first come, first served: while anyone waits, nobody who came later gets bytes, however few they
/// ask for. What comes free is kept for the one who waits longest until its request fits, so a large request is not
/// starved by small ones. A request larger than the whole budget is refused at once.
///
/// Between a soft and the hard limit the budget is *pressed*: [`admit`](Self::admit) holds newcomers back, the longer the
/// fuller it is, so that load settles there instead of running into the wall. [`acquire`](Self::acquire) holds nobody back.
///
/// A clone is another handle to the same budget. Taking and giving back are lock-free (one atomic number, no lock and
/// no system call) for as long as nobody waits; the line of those who wait is behind a short mutex, and so is the delay's
/// arithmetic above soft. Wakers are called and dropped outside of both.
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
    /// The longest delay of [`admit`](Self::admit).
    pub const DELAY_MAX: Duration = slope::DELAY_MAX;
    /// The delay of [`admit`](Self::admit) at the hard limit while it is not known how fast bytes come back; below, its
    /// share by the fill, but at least a millisecond.
    pub const DELAY_UNKNOWN: Duration = slope::DELAY_UNKNOWN;

    /// A budget of `limit_bytes`, none of them in use. Its soft limit is three quarters of that.
    #[must_use]
    pub fn new(limit_bytes: u64) -> Self {
        Self::with_soft(limit_bytes - limit_bytes / 4, limit_bytes)
    }

    /// A budget of `limit_bytes` that is pressed above `soft_bytes`. Neither is more than 2^60 - 1, nor soft above the limit:
    /// what is more is taken for that.
    #[must_use]
    pub fn with_soft(soft_bytes: u64, limit_bytes: u64) -> Self {
        Self { shared: Arc::new(Shared::new(soft_bytes, limit_bytes)) }
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
        if self.shared.take(bytes)? {
            return Ok(self.permit(bytes));
        }
        park::block_on(self.acquire(bytes))
    }

    /// Takes `bytes` if they are free now and nobody waits. Never blocks.
    #[must_use]
    pub fn try_acquire(&self, bytes: u64) -> Option<Permit> {
        self.shared.take(bytes).is_ok_and(|taken| taken).then(|| self.permit(bytes))
    }

    /// Refuses every waiting and every later request, delayed ones included. Permits that are out stay valid and
    /// come back as usual.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.word.look().is_closed()
    }

    /// The whole budget, in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.shared.word.limit
    }

    /// Above so many bytes in use the budget is pressed.
    #[must_use]
    pub fn soft_limit(&self) -> u64 {
        self.shared.word.soft
    }

    /// Bytes held by permits now, those included that are granted but not yet picked up by their waiter.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.shared.word.look().used()
    }

    /// The most bytes that were in use at one time since the budget was made. Exact.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.shared.word.peak()
    }

    /// How many requests wait. Those who sleep out a delay are not counted.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.shared.waiters()
    }

    /// Whether more than [`soft_limit`](Self::soft_limit) is in use or somebody waits.
    #[must_use]
    #[inline]
    pub fn is_pressed(&self) -> bool {
        self.shared.word.look().is_pressed()
    }

    /// Bytes a second that came back over the last few flushes, where that was measured: it is from when the budget becomes
    /// pressed until it has fallen to half of soft, as far as requests were [delayed](Self::delay) then.
    #[must_use]
    pub fn drain_rate(&self, now: Instant) -> Option<f64> {
        self.shared.slope.rate(now)
    }

    /// Brings the gauge of the feature `metrics` up to date. By itself the budget does that when pressure begins and ends, and
    /// a [`Buffer`](crate::Buffer) when a batch is taken and when its bytes come back, so that requests need not. Whoever uses a
    /// budget without one calls it now and then. Without the feature it does nothing.
    pub fn record(&self) {
        self.shared.fill.record(self.in_use());
    }

    /// Calls `listener` whenever the budget becomes pressed, once each time; at once, if it is now.
    pub(crate) fn listen(&self, listener: Weak<dyn Relief>) {
        self.shared.listen(listener);
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Takes bytes without a permit, if they are free now and nobody waits.
    #[inline]
    pub(crate) fn take(&self, bytes: u64) -> Result<bool, BudgetError> {
        self.shared.take(bytes)
    }

    /// Gives back bytes that a permit was [dissolved](Permit::dissolve) into; of many items with one call.
    #[inline]
    pub(crate) fn release(&self, bytes: u64) {
        if bytes > 0 {
            self.shared.release(bytes);
        }
    }

    /// Bytes that are taken and have no permit get one.
    pub(crate) fn permit(&self, bytes: u64) -> Permit {
        Permit::new(self.clone(), bytes)
    }

    /// The first poll of a request: granted (`None`), refused, or queued under the ticket that is returned.
    pub(crate) fn ask(&self, bytes: u64, waker: &Waker) -> Result<Option<Ticket>, BudgetError> {
        self.shared.ask(bytes, waker)
    }

    /// A later poll of a queued request; ready, its ticket is no longer valid.
    pub(crate) fn ask_again(&self, ticket: Ticket, waker: &Waker) -> Poll<Result<(), BudgetError>> {
        self.shared.ask_again(ticket, waker)
    }

    /// A queued request goes away; what it was granted goes to the next.
    pub(crate) fn leave(&self, ticket: Ticket, bytes: u64) {
        self.shared.leave(ticket, bytes);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("limit", &self.limit())
            .field("soft_limit", &self.soft_limit())
            .field("in_use", &self.in_use())
            .field("waiters", &self.waiters())
            .finish()
    }
}
