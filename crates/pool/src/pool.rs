use std::{fmt, sync::Arc, task::Waker};

use standpipe_core::{Acquire, Connect, Error};

use crate::{
    PoolLease, Settings, Status,
    drain::Drain,
    loan::Loan,
    shared::Shared,
    state::Place,
    wait::{Wait, closed},
};

/// Lends connections that a [`Connect`] makes: at most `connections_max`, in the order in which they were asked for.
///
/// A handle; its clones are the same pool. It needs no runtime and starts no task: connecting and checking happen in
/// the future of whoever acquires. When the last handle and the last lease are gone, so are the connections.
///
/// ```
/// # use standpipe_core::{Connect, Error};
/// # struct Dial;
/// # impl Connect for Dial {
/// #     type Connection = Vec<u8>;
/// #     async fn connect(&self) -> Result<Vec<u8>, Error> { Ok(Vec::new()) }
/// #     async fn check(&self, _: &mut Vec<u8>) -> Result<(), Error> { Ok(()) }
/// #     fn is_broken(&self, _: &mut Vec<u8>) -> bool { false }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// use standpipe_pool::{Pool, Settings};
///
/// let pool = Pool::new(Dial, Settings { connections_max: 1, ..Settings::default() });
/// pool.acquire().await?.push(7);
/// assert_eq!(*pool.acquire().await?, [7], "the same connection, lent again");
/// pool.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Pool<C: Connect> {
    shared: Arc<Shared<C>>,
}

impl<C: Connect> Pool<C> {
    /// An empty pool. It connects when it is first asked.
    #[must_use]
    pub fn new(connect: C, settings: Settings) -> Self {
        Pool { shared: Arc::new(Shared::new(connect, settings)) }
    }

    /// Borrows a connection: the idle one that was used last, or a new one, or the next that comes back.
    ///
    /// The place in the queue is taken when the future is first polled, and is kept when a connection turns out to be
    /// expired or fails its check. There is no timeout inside; put your runtime's around it. A place is handed over
    /// when it comes free, not when the waiter is next polled: poll this future on, or drop it.
    ///
    /// # Errors
    /// The error of connecting, as [`Connect`] gave it, to the acquirer who connected;
    /// [`Retry`](standpipe_core::ErrorKind::Retry) when `waiters_max` wait already;
    /// [`Closed`](standpipe_core::ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Dropped at any time, it leaves the queue or hands its place to the next waiter. A connection under check goes
    /// back and is checked again before it is lent; one that is being made is dropped.
    ///
    /// # Panics
    /// Only when `connect` or `check` panics; the place is handed on, and a connection whose check panicked is closed.
    pub async fn acquire(&self) -> Result<PoolLease<C>, Error> {
        let mut loan = Wait::new(&self.shared).await?;
        loop {
            if !loan.is_filled() {
                loan.connect().await?;
                break;
            }
            if loan.is_usable().await {
                break;
            }
            loan.empty();
        }
        if loan.is_closed() { Err(closed()) } else { Ok(PoolLease::new(loan)) }
    }

    /// What is lent, idle and waited for at this instant.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.with(|state| state.status())
    }

    /// Closes idle connections that are past `idle_max` or `life_max`, and says how many.
    ///
    /// Acquiring and returning retire them too; call this from a timer when the pool may rest for long.
    pub fn sweep(&self) -> usize {
        let (settings, now) = (&self.shared.settings, self.shared.now());
        let expired = self.shared.with(|state| state.take_expired(|pooled| pooled.is_expired(settings, now)));
        let loans: Vec<_> =
            expired.into_iter().map(|pooled| Closing::new(&self.shared, Some(pooled))).collect();
        loans.len()
    }

    /// Refuses everyone from now on, closes what is idle, and waits until everything lent has come back.
    ///
    /// Waiters, and acquirers who are still connecting or checking, get [`Closed`](standpipe_core::ErrorKind::Closed).
    /// Nothing happens before the first poll.
    ///
    /// # Cancel safety
    /// Once polled the pool is closed; dropping the future only ends the wait. Close again to wait again.
    pub async fn close(&self) {
        let emptied = self.shared.with(|state| state.close());
        let places: Vec<_> =
            emptied.places.into_iter().map(|place| Closing::new(&self.shared, place)).collect();
        emptied.queue.into_values().for_each(Waker::wake);
        drop(places);
        Drain::new(&self.shared).await;
    }
}

/// A place whose connection is to be closed, even when closing another one panics.
struct Closing<C: Connect>(Loan<C>);

impl<C: Connect> Closing<C> {
    fn new(shared: &Arc<Shared<C>>, place: Place<C::Connection>) -> Self {
        Closing(Loan::new(shared, place))
    }
}

impl<C: Connect> Drop for Closing<C> {
    fn drop(&mut self) {
        self.0.empty();
    }
}

impl<C: Connect> Acquire for Pool<C> {
    type Connection = C::Connection;
    type Lease = PoolLease<C>;

    async fn acquire(&self) -> Result<PoolLease<C>, Error> {
        Pool::acquire(self).await
    }
}

impl<C: Connect> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Pool { shared: Arc::clone(&self.shared) }
    }
}

impl<C: Connect> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("status", &self.status()).finish_non_exhaustive()
    }
}
