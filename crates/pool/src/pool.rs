use std::{fmt, future::Future, sync::Arc};

use standpipe_core::{Acquire, Connect, Error};

use crate::{
    PoolLease, Settings, Status,
    close::Closing,
    errands::Steps,
    rack::{PLACES_MAX, Taken},
    run::Run,
    shared::Shared,
    vet::vet,
    wait::Wait,
    watch::{Taker, taker},
};

/// Lends connections that a [`Connect`] makes: at most `connections_max`, in the order in which they were asked for.
///
/// A handle; its clones are the same pool. It needs no runtime and starts no task: spawn [`run`](Pool::run) for what goes on
/// in the background. When the last handle is gone the pool is closed.
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
/// tokio::spawn(pool.run());
/// pool.acquire().await?.push(7);
/// assert_eq!(*pool.acquire().await?, [7], "the same connection, lent again");
/// pool.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Pool<C: Connect> {
    handle: Arc<Handle<C>>,
}

/// What idle connections hold on to is not this.
struct Handle<C: Connect> {
    shared: Arc<Shared<C>>,
}

impl<C: Connect> Pool<C> {
    /// An empty pool. It connects when it is first asked, or run with an `idle_min`.
    #[must_use]
    pub fn new(connect: C, settings: Settings) -> Self {
        Pool { handle: Arc::new(Handle { shared: Arc::new(Shared::new(connect, settings)) }) }
    }

    /// Borrows a connection: an idle one, or the next that comes back or is made.
    ///
    /// Finding an idle one takes no lock while nobody waits. Who waits is served in the order of the first polls; nobody
    /// passes him, and he keeps his turn when what he got turns out to be unfit. A connection is handed over when it comes
    /// free, not when the waiter is next polled: poll this future on, or drop it. With the feature `tracing` the caller's
    /// line is kept.
    ///
    /// # Errors
    /// The error of connecting, as [`Connect`] gave it, to all who wait for it;
    /// [`Retry`](standpipe_core::ErrorKind::Retry) after `acquire_timeout`, or when `waiters_max` wait already;
    /// [`Closed`](standpipe_core::ErrorKind::Closed).
    ///
    /// # Cancel safety
    /// Dropped at any time, it leaves the queue or hands on what it was given. A connection under check goes back and is
    /// checked again before it is lent. A connect goes on: for the next who asks, if nobody runs the pool.
    ///
    /// # Panics
    /// Only when `check`, `before_acquire` or an idle connection's drop panics; the connection is closed, its place free.
    /// A panic in `connect` is an error to those who wait.
    #[cfg_attr(feature = "tracing", track_caller)]
    #[inline]
    pub fn acquire(&self) -> impl Future<Output = Result<PoolLease<C>, Error>> + Send + use<'_, C> {
        self.acquire_for(taker())
    }

    #[inline]
    async fn acquire_for(&self, taker: Taker) -> Result<PoolLease<C>, Error> {
        let shared = &self.handle.shared;
        let mut since = None;
        loop {
            let entry = match shared.rack.take() {
                Taken::Item(entry) => entry,
                _ => Wait::new(shared, &mut since).await?,
            };
            if let Some(lease) = vet(shared, entry, taker, &mut since).await? {
                return Ok(lease);
            }
            // Who was given something unfit has had his turn, and keeps it.
            since.get_or_insert_with(|| shared.asked());
        }
    }

    /// What goes on in the background, to be spawned once; it ends when the pool is closed.
    ///
    /// It connects ahead to keep `idle_min`, retires what is too old or idle for too long, polls connects, resets and
    /// leave-taking on behalf of those who wait, and keeps the time, so that acquiring need not look at the clock.
    ///
    /// Without it all promises hold but these: nothing is kept idle ahead; what is too old is closed when it is next looked
    /// at, or by [`sweep`](Pool::sweep); connections are closed without taking leave; a reset that is not done at its first
    /// poll goes on with the next who acquires, as does a connect whose acquirers went away.
    ///
    /// # Cancel safety
    /// Dropped, the pool is without it again, and another may be spawned. A second one beside it ends at once.
    pub fn run(&self) -> impl Future<Output = ()> + Send + use<C> {
        Run::new(Arc::clone(&self.handle.shared))
    }

    /// What is lent, idle and waited for at this instant.
    #[must_use]
    pub fn status(&self) -> Status {
        self.handle.shared.status()
    }

    /// Changes `connections_max`: 0 is taken as 1, more than 16,384 as that. What is too many is closed when it is idle or
    /// comes back.
    pub fn resize(&self, connections_max: usize) {
        let shared = &self.handle.shared;
        let mut steps = Steps::default();
        shared.with_first(&mut steps, |desk, _| {
            desk.limit = connections_max.clamp(1, PLACES_MAX);
            shared.connect_if_wanted(desk);
        });
        steps.take(|| shared.match_up());
        steps.pass_on();
    }

    /// Closes idle connections that are past `idle_max` or their life, and says how many. For who does not run the pool.
    pub fn sweep(&self) -> usize {
        self.handle.shared.reap(self.handle.shared.exact())
    }

    /// Refuses everyone from now on, closes what is idle, and waits until everything lent has come back.
    ///
    /// Waiters, and acquirers whose connection is still checked, get [`Closed`](standpipe_core::ErrorKind::Closed).
    /// Nothing happens before the first poll. There is no timeout for what is lent: put one around it.
    ///
    /// # Cancel safety
    /// Once polled the pool is closed; dropping the future only ends the wait. Close again to wait again.
    ///
    /// # Panics
    /// Only when a connection panics as it is dropped, once all are.
    pub async fn close(&self) {
        Closing::new(&self.handle.shared).await;
    }
}

impl<C: Connect> Acquire for Pool<C> {
    type Connection = C::Connection;
    type Lease = PoolLease<C>;

    async fn acquire(&self) -> Result<PoolLease<C>, Error> {
        Pool::acquire(self).await
    }
}

impl<C: Connect> Drop for Handle<C> {
    fn drop(&mut self) {
        self.shared.shut();
    }
}

impl<C: Connect> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Pool { handle: Arc::clone(&self.handle) }
    }
}

impl<C: Connect> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("status", &self.status()).finish_non_exhaustive()
    }
}
