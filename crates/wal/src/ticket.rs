use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use standpipe_log::{LogError, Lsn, Ticket};

use crate::group::{Group, NO_SLOT, Stage};

/// What an append to a [`Wal`](crate::Wal) hands back: a future, or something to [`wait`](Ticket::wait) on.
///
/// Whoever waits writes and syncs on his own thread when nobody else is at it, for himself and for all who wait. A
/// future is served by the log's thread. All appends of one group share one allocation, and one outcome.
///
/// A record is on its way as soon as its ticket is waited for, polled or dropped; a ticket that is only kept is looked
/// after by the log's thread within some milliseconds.
#[must_use = "a record is durable only when its ticket says so"]
pub struct WalTicket {
    group: Arc<Group>,
    lsn: Lsn,
    needed: Stage,
    slot: usize,
    is_attended: bool,
}

impl WalTicket {
    pub(crate) fn new(group: Arc<Group>, lsn: Lsn, needed: Stage) -> Self {
        WalTicket { group, lsn, needed, slot: NO_SLOT, is_attended: false }
    }
}

impl Future for WalTicket {
    type Output = Result<Lsn, LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.is_attended = true;
        match this.group.poll(this.needed, context.waker(), &mut this.slot) {
            Some(outcome) => Poll::Ready(outcome.map(|()| this.lsn)),
            None => Poll::Pending,
        }
    }
}

impl Ticket for WalTicket {
    fn lsn(&self) -> Lsn {
        self.lsn
    }

    fn wait(mut self) -> Result<Lsn, LogError> {
        self.is_attended = true;
        self.group.wait(self.needed).map(|()| self.lsn)
    }
}

impl Drop for WalTicket {
    fn drop(&mut self) {
        if !self.is_attended {
            self.group.demand();
        }
        self.group.leave(self.needed);
    }
}

impl fmt::Debug for WalTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalTicket").field("lsn", &self.lsn).finish_non_exhaustive()
    }
}
