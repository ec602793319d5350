use std::sync::{PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::queue::{Answer, Look, Queue, Ticket};
use super::relief::{Listeners, Relief};
use super::round::{Panicked, Round};
use super::slope::Slope;
use super::sync::{Mutex, MutexGuard};
use super::word::{Seen, Take, Word};
use crate::planted::{self, Plant};
use crate::{BudgetError, meter};

/// What the handles share: the word that says how many bytes are taken, and what is needed only when they run short.
///
/// The flag of the waiters is up exactly while the queue has somebody in it, seen from under its lock. So a taker that
/// finds the flag down passes nobody, and a release that finds it down owes nobody a look.
pub(super) struct Shared {
    pub(super) word: Word,
    queue: Mutex<Queue>,
    /// Those who sleep out a delay; answered when the delays end before their time.
    sleepers: Mutex<Queue>,
    listeners: Listeners,
    pub(super) slope: Slope,
    pub(super) fill: meter::Fill,
}

impl Shared {
    pub(super) fn new(soft: u64, limit: u64) -> Self {
        Self {
            word: Word::new(soft, limit),
            queue: Mutex::new(Queue::new()),
            sleepers: Mutex::new(Queue::new()),
            listeners: Listeners::default(),
            slope: Slope::default(),
            fill: meter::Fill::default(),
        }
    }

    /// Takes `bytes` if they are free and nobody waits; whether it did.
    #[inline]
    pub(super) fn take(&self, bytes: u64) -> Result<bool, BudgetError> {
        self.fits_ever(bytes)?;
        match self.word.take(bytes) {
            Take::Taken { presses: false } => Ok(true),
            Take::Taken { presses: true } => {
                self.press();
                Ok(true)
            }
            Take::Wait { .. } => Ok(false),
            Take::Closed => Err(BudgetError::Closed),
        }
    }

    /// The first poll of a request: granted (`None`), refused, or queued under the ticket that is returned.
    pub(super) fn ask(&self, bytes: u64, waker: &Waker) -> Result<Option<Ticket>, BudgetError> {
        if self.take(bytes)? {
            return Ok(None);
        }
        let waker = waker.clone();
        let mut queue = self.lock();
        let (asked, presses) = match self.word.take_or_flag(bytes) {
            Take::Taken { presses } => (Ok(None), presses),
            Take::Wait { presses } => (Ok(Some(queue.push(bytes, waker))), presses),
            Take::Closed => (Err(BudgetError::Closed), false),
        };
        drop(queue);
        if let Ok(Some(_)) = asked {
            meter::waiters(1);
        }
        if presses || (planted::is(Plant::RelievesEachWaiter) && matches!(asked, Ok(Some(_)))) {
            self.press();
        }
        asked
    }

    /// A later poll of a queued request. When it is ready, the ticket is given up.
    pub(super) fn ask_again(&self, ticket: Ticket, waker: &Waker) -> Poll<Result<(), BudgetError>> {
        // A waker that is replaced is dropped after the lock: dropping it may free a task, and with it permits.
        let mut fresh = None;
        loop {
            let mut queue = self.lock();
            match queue.look(ticket, waker, &mut fresh) {
                Look::Waiting => return Poll::Pending,
                Look::NeedsWaker => {
                    drop(queue);
                    fresh = Some(waker.clone());
                }
                Look::Answered(answer) => {
                    queue.give_up(ticket);
                    return Poll::Ready(match answer {
                        Answer::Granted => Ok(()),
                        Answer::Refused => Err(BudgetError::Closed),
                    });
                }
            }
        }
    }

    /// A queued request goes away; what it was granted goes to the next.
    pub(super) fn leave(&self, ticket: Ticket, bytes: u64) {
        if planted::is(Plant::ForgetsCancelled) {
            return;
        }
        let mut queue = self.lock();
        let (answer, waker) = queue.give_up(ticket);
        match answer {
            None => {
                // It may have been the one for whom the others' bytes were kept.
                self.serve(queue);
                meter::waiters(-1);
            }
            Some(Answer::Granted) => {
                drop(queue);
                self.release(bytes);
            }
            Some(Answer::Refused) => {}
        }
        drop(waker);
    }

    #[inline]
    pub(super) fn release(&self, bytes: u64) {
        let seen = self.word.give(bytes);
        if !seen.is_plain() {
            self.released(seen, bytes);
        }
    }

    #[cold]
    fn released(&self, seen: Seen, bytes: u64) {
        if seen.is_measured() {
            self.slope.drains(bytes);
        }
        if seen.has_waiters() {
            self.serve(self.lock());
        } else {
            let mut panicked = Panicked::default();
            self.calm(&mut panicked);
            panicked.go_on();
        }
    }

    /// Grants from the front of the line for as long as the front fits. What is left over stays for the front, because
    /// nobody else may take while it waits.
    fn serve<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) {
        let mut panicked = Panicked::default();
        loop {
            let mut round = Round::new();
            while !round.is_full()
                && let Some(bytes) = queue.first_bytes()
                && self.word.grant(bytes)
            {
                round.push(queue.answer_first(Answer::Granted));
            }
            if queue.waiting() == 0 {
                self.word.lower_flag();
            }
            drop(queue);
            let done = !round.is_full();
            self.calm(&mut panicked);
            woken(round, &mut panicked);
            if done {
                break;
            }
            queue = self.lock();
        }
        panicked.go_on();
    }

    pub(super) fn close(&self) {
        let mut panicked = Panicked::default();
        loop {
            let mut round = Round::new();
            let mut queue = self.lock();
            self.word.close();
            while !round.is_full() && queue.waiting() > 0 {
                round.push(queue.answer_first(Answer::Refused));
            }
            if queue.waiting() == 0 {
                self.word.lower_flag();
            }
            drop(queue);
            let done = !round.is_full();
            woken(round, &mut panicked);
            if done {
                break;
            }
        }
        self.calm(&mut panicked);
        self.end_delays(&mut panicked);
        panicked.go_on();
    }

    /// The budget became pressed by what the caller just did.
    #[cold]
    fn press(&self) {
        self.fill.record(self.word.look().used());
        self.listeners.call();
    }

    /// After the bytes or the flag went down.
    fn calm(&self, panicked: &mut Panicked) {
        let calmed = self.word.calm();
        if calmed.measuring {
            self.slope.pauses();
        }
        if calmed.pressure {
            self.fill.record(self.word.look().used());
            self.end_delays(panicked);
        }
    }

    pub(super) fn listen(&self, listener: Weak<dyn Relief>) {
        let late = listener.clone();
        self.listeners.add(listener);
        // Pressed before it was on the list: nobody would call it for this period.
        if self.word.look().is_pressed()
            && let Some(listener) = late.upgrade()
        {
            listener.relieve();
        }
    }

    pub(super) fn waiters(&self) -> usize {
        self.lock().waiting()
    }

    pub(super) fn delay(&self, bytes: u64, now: Instant) -> Duration {
        let used = self.word.look().used();
        if used <= self.word.soft {
            return Duration::ZERO;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let fill = (used - self.word.soft) as f64 / (self.word.limit - self.word.soft) as f64;
        self.slope.place(bytes, fill, now)
    }

    /// Whether delays are over for now.
    #[inline]
    pub(super) fn is_calm(&self) -> bool {
        let seen = self.word.look();
        seen.is_closed() || !seen.is_pressed()
    }

    /// Puts `waker` on the list of those who are woken when the delays end; ready when they did.
    pub(super) fn poll_sleeper(&self, place: &mut Option<Ticket>, waker: &Waker) -> Poll<()> {
        let mut fresh = Some(waker.clone());
        {
            let mut sleepers = self.sleepers();
            if let Some(ticket) = *place
                && let Look::Answered(_) = sleepers.look(ticket, waker, &mut fresh)
            {
                sleepers.give_up(ticket);
                *place = None;
            }
            if place.is_none()
                && let Some(waker) = fresh.take()
            {
                *place = Some(sleepers.push(0, waker));
            }
        }
        // After it is on the list: whoever ends the delays from here on finds it there.
        if self.is_calm() { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(super) fn leave_sleepers(&self, ticket: Ticket) {
        let left = self.sleepers().give_up(ticket);
        drop(left);
    }

    fn end_delays(&self, panicked: &mut Panicked) {
        let mut left = self.sleepers().waiting();
        while left > 0 {
            let mut round = Round::new();
            let mut sleepers = self.sleepers();
            while !round.is_full() && left > 0 && sleepers.waiting() > 0 {
                round.push(sleepers.answer_first(Answer::Refused));
                left -= 1;
            }
            left = left.min(sleepers.waiting());
            drop(sleepers);
            round.wake(panicked);
        }
    }

    pub(super) fn fits_ever(&self, bytes: u64) -> Result<(), BudgetError> {
        let limit = self.word.limit;
        if bytes <= limit || planted::is(Plant::QueuesOversized) {
            Ok(())
        } else {
            Err(BudgetError::TooLarge { bytes, limit })
        }
    }

    // No code of others runs under these locks, so what they guard is whole even after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleepers(&self) -> MutexGuard<'_, Queue> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn listeners(&self) -> usize {
        self.listeners.count()
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.lock().places()
    }
}

fn woken(round: Round, panicked: &mut Panicked) {
    if round.len() > 0 {
        meter::waiters(-i32::try_from(round.len()).unwrap_or(i32::MAX));
    }
    round.wake(panicked);
}
