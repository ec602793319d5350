use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
};

use standpipe_log::{LogError, Lsn, Ticket};

use crate::lock::lock;

const NO_SLOT: usize = usize::MAX;

/// What an append to a [`Wal`](crate::Wal) hands back: a future, or something to [`wait`](Ticket::wait) on.
///
/// All appends of one group share one allocation, and one outcome.
#[must_use = "a record is durable only when its ticket says so"]
pub struct WalTicket {
    group: Arc<Group>,
    lsn: Lsn,
    slot: usize,
}

impl WalTicket {
    pub(crate) fn new(group: Arc<Group>, lsn: Lsn) -> Self {
        WalTicket { group, lsn, slot: NO_SLOT }
    }
}

impl Future for WalTicket {
    type Output = Result<Lsn, LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.group.poll(context.waker(), &mut this.slot) {
            Some(outcome) => Poll::Ready(outcome.map(|()| this.lsn)),
            None => Poll::Pending,
        }
    }
}

impl Ticket for WalTicket {
    fn lsn(&self) -> Lsn {
        self.lsn
    }

    fn wait(self) -> Result<Lsn, LogError> {
        self.group.wait().map(|()| self.lsn)
    }
}

impl fmt::Debug for WalTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalTicket").field("lsn", &self.lsn).finish_non_exhaustive()
    }
}

/// Those who wait for one frame.
#[derive(Debug, Default)]
pub(crate) struct Group {
    outcome: OnceLock<Result<(), LogError>>,
    waiters: Mutex<Waiters>,
    settled: Condvar,
}

#[derive(Debug, Default)]
struct Waiters {
    wakers: Vec<Waker>,
    sleepers: usize,
}

impl Group {
    /// Gives everyone the outcome, now and later. Only the first call counts.
    pub(crate) fn settle(&self, outcome: Result<(), LogError>) {
        if self.outcome.set(outcome).is_err() {
            return;
        }
        let mut waiters = lock(&self.waiters);
        if waiters.sleepers > 0 {
            self.settled.notify_all();
        }
        // Under the lock so that the list keeps its memory: whoever is woken looks at the outcome first and needs no lock.
        for waker in waiters.wakers.drain(..) {
            waker.wake();
        }
    }

    /// Makes the group ready for another frame. Call only when no ticket is left.
    pub(crate) fn renew(&mut self) {
        self.outcome = OnceLock::new();
        self.waiters.get_mut().unwrap_or_else(PoisonError::into_inner).wakers.clear();
    }

    fn poll(&self, waker: &Waker, slot: &mut usize) -> Option<Result<(), LogError>> {
        if let Some(outcome) = self.outcome.get() {
            return Some(outcome.clone());
        }
        let mut waiters = lock(&self.waiters);
        if let Some(outcome) = self.outcome.get() {
            return Some(outcome.clone());
        }
        match waiters.wakers.get_mut(*slot) {
            Some(known) => known.clone_from(waker),
            None => {
                *slot = waiters.wakers.len();
                waiters.wakers.push(waker.clone());
            }
        }
        None
    }

    fn wait(&self) -> Result<(), LogError> {
        if let Some(outcome) = self.outcome.get() {
            return outcome.clone();
        }
        let mut waiters = lock(&self.waiters);
        loop {
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            waiters.sleepers += 1;
            waiters = self.settled.wait(waiters).unwrap_or_else(PoisonError::into_inner);
            waiters.sleepers -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
        thread,
    };

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn every_waiter_of_a_group_gets_the_outcome() {
        let group = Arc::new(Group::default());
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        let mut first = WalTicket::new(group.clone(), Lsn::new(1));
        let mut second = WalTicket::new(group.clone(), Lsn::new(2));
        for _ in 0..3 {
            assert!(Pin::new(&mut first).poll(&mut context).is_pending());
        }
        assert!(Pin::new(&mut second).poll(&mut context).is_pending());
        let third = WalTicket::new(group.clone(), Lsn::new(3));
        let sleeper = thread::spawn(move || third.wait());
        group.settle(Ok(()));
        group.settle(Err(LogError::Closed));
        assert_eq!(
            count.0.load(Ordering::SeqCst),
            2,
            "one wake for each ticket, however often it was polled"
        );
        assert!(
            matches!(Pin::new(&mut first).poll(&mut context), Poll::Ready(Ok(lsn)) if lsn == Lsn::new(1))
        );
        assert!(
            matches!(Pin::new(&mut second).poll(&mut context), Poll::Ready(Ok(lsn)) if lsn == Lsn::new(2))
        );
        assert_eq!(sleeper.join().unwrap().unwrap(), Lsn::new(3));
    }
}
