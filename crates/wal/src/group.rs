use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{OnceLock, PoisonError, Weak, atomic::Ordering::SeqCst},
    task::Waker,
};

use standpipe_log::LogError;

use crate::word::{AtomicBool, Count, Mutex, Word, fence};

pub(crate) const NO_SLOT: usize = usize::MAX;

/// How far a frame has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Stage {
    /// In memory.
    Queued = 0,
    /// It survives the process.
    Written = 1,
    /// It survives power loss.
    Synced = 2,
    /// It is not known to.
    Failed = 3,
}

const STAGE: u32 = 3;
/// Above the stage, what makes everyone who is about to sleep look again.
const CALL: u32 = 4;

/// Who writes and syncs.
pub(crate) trait Lead: Send + Sync {
    /// Writes and syncs what is queued, unless someone is at it. Where nothing is synced it waits for its turn instead: a
    /// write is over sooner than this thread would be asleep.
    fn lead(&self) -> Turn;

    /// Has the log's thread do it.
    fn demand(&self);
}

/// What came of asking to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It was done.
    Led,
    /// Someone else is at it, and will see to whoever sleeps.
    Others,
    /// This very thread is at it: it runs a waker that the log called.
    Inside,
}

/// Who is to write what came while somebody wrote: one of those who wait with a thread of their own. `None`: nobody does.
pub(crate) fn successor<'a>(
    mut pending: impl Iterator<Item = &'a std::sync::Arc<Group>>,
) -> Option<std::sync::Arc<Group>> {
    // With the one in `wait_with`: the pen was given up before this, and whoever is not seen here sees that.
    fence(SeqCst);
    pending.find(|group| group.has_sleepers()).cloned()
}

/// Those who wait for one frame.
pub(crate) struct Group {
    /// A [`Stage`], and calls. Threads sleep on it.
    word: Word,
    error: OnceLock<LogError>,
    /// Threads that sleep, or are about to.
    sleepers: Count,
    is_demanded: AtomicBool,
    /// Tickets that are gone and never saw what they waited for.
    disappointed: Count,
    wakers: Mutex<Vec<Option<(Stage, Waker)>>>,
    lead: Weak<dyn Lead>,
}

impl Group {
    pub(crate) fn new(lead: Weak<dyn Lead>) -> Self {
        Group {
            word: Word::default(),
            error: OnceLock::new(),
            sleepers: Count::new(0),
            is_demanded: AtomicBool::new(false),
            disappointed: Count::new(0),
            wakers: Mutex::new(Vec::new()),
            lead,
        }
    }

    /// Tells everyone who waited for this much, now and later. A stage is never taken back.
    pub(crate) fn reach(&self, stage: Stage) {
        let comes_further = |word: u32| {
            (word & STAGE < stage as u32).then(|| (word & !STAGE).wrapping_add(CALL) | stage as u32)
        };
        if !self.word.update(comes_further) {
            return;
        }
        self.wake(u32::MAX / 2);
        let mut at = 0;
        while let Some(waker) = self.due(stage, &mut at) {
            // Someone else's code: that it panics is not the log's failure, and it may take locks under which others poll.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    /// The next from `at` on of those who waited for this much. The list keeps its memory.
    fn due(&self, stage: Stage, at: &mut usize) -> Option<Waker> {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(slot) = wakers.get_mut(*at) {
            *at += 1;
            if let Some((_, waker)) = slot.take_if(|(needed, _)| *needed <= stage) {
                return Some(waker);
            }
        }
        None
    }

    /// Tells everyone that it is not known whether the frame is durable.
    pub(crate) fn fail(&self, error: LogError) {
        if self.stage() < Stage::Synced as u32 {
            // Only the first error counts.
            let _ = self.error.set(error);
            self.reach(Stage::Failed);
        }
    }

    /// Makes the group ready for another frame. Call only when no ticket is left.
    pub(crate) fn renew(&mut self) {
        self.word.reset();
        self.error = OnceLock::new();
        self.is_demanded.store(false, SeqCst);
        self.disappointed.store(0, SeqCst);
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A ticket is dropped. Counted unless the frame has come as far as that one needed.
    pub(crate) fn leave(&self, needed: Stage) {
        if !matches!(self.outcome(self.stage(), needed), Some(Ok(()))) {
            self.disappointed.fetch_add(1, SeqCst);
        }
    }

    /// How many tickets are gone that did not see what they needed. Of a frame that failed: all, once nobody holds one.
    pub(crate) fn disappointed(&self) -> u32 {
        self.disappointed.load(SeqCst)
    }

    /// Whether a thread waits.
    pub(crate) fn has_sleepers(&self) -> bool {
        self.sleepers.load(SeqCst) > 0
    }

    /// Has one of the threads that wait look whether it should lead.
    pub(crate) fn call(&self) {
        self.word.add(CALL);
        self.wake(1);
    }

    fn wake(&self, count: u32) {
        if self.has_sleepers() {
            self.word.wake(count);
        }
    }

    /// Has the log's thread see to the frame, unless it is told already or there is nothing to do.
    pub(crate) fn demand(&self) {
        if self.stage() == Stage::Queued as u32
            && !self.is_demanded.swap(true, SeqCst)
            && let Some(lead) = self.lead.upgrade()
        {
            lead.demand();
        }
    }

    pub(crate) fn poll(
        &self,
        needed: Stage,
        waker: &Waker,
        slot: &mut usize,
    ) -> Option<Result<(), LogError>> {
        if let Some(outcome) = self.outcome(self.stage(), needed) {
            return Some(outcome);
        }
        let replaced = {
            let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(outcome) = self.outcome(self.stage(), needed) {
                return Some(outcome);
            }
            match wakers.get_mut(*slot) {
                Some(Some((_, known))) if known.will_wake(waker) => None,
                Some(known) => known.replace((needed, waker.clone())),
                None => {
                    *slot = wakers.len();
                    wakers.push(Some((needed, waker.clone())));
                    None
                }
            }
        };
        // Someone else's code, not under the lock.
        drop(replaced);
        self.demand();
        None
    }

    /// Sleeps until the frame has come so far, or leads.
    pub(crate) fn wait(&self, needed: Stage) -> Result<(), LogError> {
        self.wait_with(needed, || self.lead.upgrade().map_or(Turn::Others, |lead| lead.lead()))
    }

    fn wait_with(&self, needed: Stage, lead: impl Fn() -> Turn) -> Result<(), LogError> {
        loop {
            if let Some(outcome) = self.outcome(self.stage(), needed) {
                return outcome;
            }
            // Most often nobody else is at it, and there is nobody to be woken.
            match lead() {
                Turn::Led => {}
                Turn::Others => break,
                Turn::Inside => return Err(waits_for_itself()),
            }
        }
        self.sleepers.fetch_add(1, SeqCst);
        fence(SeqCst);
        let outcome = loop {
            // Read before anyone is asked to lead: who leads now looks for sleepers when it is done, and calls.
            let word = self.word.load();
            if let Some(outcome) = self.outcome(word & STAGE, needed) {
                break outcome;
            }
            if lead() != Turn::Led {
                self.word.sleep(word);
            }
        };
        self.sleepers.fetch_sub(1, SeqCst);
        outcome
    }

    fn stage(&self) -> u32 {
        self.word.load() & STAGE
    }

    fn outcome(&self, stage: u32, needed: Stage) -> Option<Result<(), LogError>> {
        if stage == Stage::Failed as u32 {
            // Set before the stage.
            return Some(self.error.get().cloned().map_or(Ok(()), Err));
        }
        (stage >= needed as u32).then_some(Ok(()))
    }
}

/// What a waker is told that waits for the log that called it.
pub(crate) fn waits_for_itself() -> LogError {
    LogError::Invalid("a waker must not wait for the log that calls it".to_owned())
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("stage", &self.stage()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        pin::Pin,
        sync::{Arc, atomic::AtomicUsize},
        task::{Context, Poll, Wake},
        thread,
    };

    use standpipe_log::{Lsn, Ticket};

    use super::*;
    use crate::ticket::WalTicket;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// Never leads.
    #[derive(Default)]
    struct Idle(AtomicUsize);

    impl Lead for Idle {
        fn lead(&self) -> Turn {
            Turn::Others
        }

        fn demand(&self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn every_waiter_of_a_group_gets_the_outcome() {
        let idle = Arc::new(Idle::default());
        let lead: Arc<dyn Lead> = idle.clone();
        let group = Arc::new(Group::new(Arc::downgrade(&lead)));
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        let ticket = |lsn, needed| WalTicket::new(group.clone(), Lsn::new(lsn), needed);
        let (mut first, mut second) = (ticket(1, Stage::Synced), ticket(2, Stage::Synced));
        let mut written = ticket(3, Stage::Written);
        for _ in 0..3 {
            assert!(Pin::new(&mut first).poll(&mut context).is_pending());
        }
        assert!(Pin::new(&mut second).poll(&mut context).is_pending());
        assert!(Pin::new(&mut written).poll(&mut context).is_pending());
        assert_eq!(idle.0.load(SeqCst), 1, "one demand for all");
        let fourth = ticket(4, Stage::Synced);
        let sleeper = thread::spawn(move || fourth.wait());
        group.reach(Stage::Written);
        assert_eq!(count.0.load(SeqCst), 1);
        assert!(Pin::new(&mut written).poll(&mut context).is_ready());
        group.reach(Stage::Synced);
        group.fail(LogError::Closed);
        assert_eq!(count.0.load(SeqCst), 3, "one wake for each ticket, however often it was polled");
        assert!(
            matches!(Pin::new(&mut first).poll(&mut context), Poll::Ready(Ok(lsn)) if lsn == Lsn::new(1))
        );
        assert!(
            matches!(Pin::new(&mut second).poll(&mut context), Poll::Ready(Ok(lsn)) if lsn == Lsn::new(2))
        );
        assert_eq!(sleeper.join().unwrap().unwrap(), Lsn::new(4));
    }

    #[test]
    fn a_dropped_ticket_has_the_log_see_to_it() {
        let idle = Arc::new(Idle::default());
        let lead: Arc<dyn Lead> = idle.clone();
        let group = Arc::new(Group::new(Arc::downgrade(&lead)));
        drop(WalTicket::new(group.clone(), Lsn::new(1), Stage::Synced));
        drop(WalTicket::new(group, Lsn::new(2), Stage::Synced));
        assert_eq!(idle.0.load(SeqCst), 1);
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
