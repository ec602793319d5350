use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use super::{Budget, Ticket};
use crate::{BudgetError, Clock, Permit, meter, park};

impl Budget {
    /// How long a request of `bytes` that comes at `now` should be held back, and a place for it behind those before it:
    /// each call counts as one more that will be let in.
    ///
    /// Nothing at or below soft. Above, requests are let in at a pace of their own, one after the other: from four times
    /// the [drain rate](Self::drain_rate) just above soft down to a quarter of it just below hard, so that the fill settles
    /// about the middle if the load is more than what drains. Where the drain rate is not known yet, all wait
    /// [`DELAY_UNKNOWN`](Self::DELAY_UNKNOWN) by the fill. Never more than [`DELAY_MAX`](Self::DELAY_MAX).
    /// Less than a millisecond is not waited for, but adds to the next one's.
    ///
    /// `now` should not go back, and be of the same clock in all calls.
    pub fn delay(&self, bytes: u64, now: Instant) -> Duration {
        self.shared.delay(bytes, now)
    }

    /// Waits for `bytes` as [`acquire`](Self::acquire) does, after the [delay](Self::delay) that the fill asks for.
    /// The delay ends before its time when the budget falls to soft, where nobody is delayed, or is closed.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire); a request that is too large is not delayed.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire). The time that was set aside for the request passes unused.
    pub async fn admit<C: Clock>(&self, bytes: u64, clock: &C) -> Result<Permit, BudgetError> {
        self.shared.fits_ever(bytes)?;
        if !self.shared.is_calm() {
            let now = clock.now();
            let delay = self.delay(bytes, now);
            if !delay.is_zero() {
                meter::delayed(delay);
                let mut over = pin!(clock.sleep_until(now + delay));
                let mut sleeper = Sleeper { budget: self, place: None };
                poll_fn(|cx| match sleeper.poll(cx) {
                    Poll::Pending => over.as_mut().poll(cx),
                    ended => ended,
                })
                .await;
            }
        }
        self.acquire(bytes).await
    }

    /// As [`admit`](Self::admit), but blocks the calling thread, by the clock of the system. Must not be called from an
    /// async task.
    ///
    /// # Errors
    /// As for [`admit`](Self::admit).
    pub fn admit_blocking(&self, bytes: u64) -> Result<Permit, BudgetError> {
        self.shared.fits_ever(bytes)?;
        if !self.shared.is_calm() {
            let now = Instant::now();
            let delay = self.delay(bytes, now);
            if !delay.is_zero() {
                meter::delayed(delay);
                self.sleep_until(now + delay);
            }
        }
        self.acquire_blocking(bytes)
    }

    /// As [`admit`](Self::admit), without a permit: the bytes are whose they are for.
    #[inline]
    pub(crate) async fn take_admitted<C: Clock>(&self, bytes: u64, clock: &C) -> Result<(), BudgetError> {
        if !self.take_if_calm(bytes) {
            self.admit(bytes, clock).await?.dissolve();
        }
        Ok(())
    }

    /// As [`take_admitted`](Self::take_admitted), but blocks the calling thread.
    #[inline]
    pub(crate) fn take_admitted_blocking(&self, bytes: u64) -> Result<(), BudgetError> {
        if !self.take_if_calm(bytes) {
            self.admit_blocking(bytes)?.dissolve();
        }
        Ok(())
    }

    /// Takes bytes, where nobody is held back; otherwise the way is [`admit`](Self::admit).
    #[inline]
    fn take_if_calm(&self, bytes: u64) -> bool {
        !self.is_pressed() && matches!(self.shared.take(bytes), Ok(true))
    }

    /// As a delay that only the budget ends.
    #[cfg(all(test, loom))]
    pub(super) async fn undelayed(&self) {
        let mut sleeper = Sleeper { budget: self, place: None };
        poll_fn(|cx| sleeper.poll(cx)).await;
    }

    fn sleep_until(&self, deadline: Instant) {
        let waker = park::waker();
        let mut cx = Context::from_waker(&waker);
        let mut sleeper = Sleeper { budget: self, place: None };
        while sleeper.poll(&mut cx).is_pending() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
    }
}

/// One who sleeps out a delay and is woken when the delays end.
struct Sleeper<'a> {
    budget: &'a Budget,
    place: Option<Ticket>,
}

impl Sleeper<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.budget.shared.poll_sleeper(&mut self.place, cx.waker())
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.place {
            self.budget.shared.leave_sleepers(ticket);
        }
    }
}
