use std::{fmt, future::Future, pin::Pin};

use standpipe_core::{Connect, Error};

type Hook<T> = Box<dyn for<'a> Fn(&'a mut T) -> HookFuture<'a> + Send + Sync>;
/// What a hook returns.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// A [`Connect`] with the user's own work added, for one whose `Connect` is somebody else's.
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
/// use standpipe_pool::{Hooked, Pool, Settings};
///
/// let connect = Hooked::new(Dial)
///     .after_connect(|connection| Box::pin(async { connection.push(7); Ok(()) }))
///     .after_release(|connection| Box::pin(async { connection.truncate(1); Ok(()) }));
/// let pool = Pool::new(connect, Settings::default());
/// ```
pub struct Hooked<C: Connect> {
    connect: C,
    after_connect: Option<Hook<C::Connection>>,
    before_acquire: Option<Hook<C::Connection>>,
    after_release: Option<Hook<C::Connection>>,
}

impl<C: Connect> Hooked<C> {
    /// Adds nothing yet.
    #[must_use]
    pub fn new(connect: C) -> Self {
        Hooked { connect, after_connect: None, before_acquire: None, after_release: None }
    }

    /// Runs after each connect, behind [`Connect::after_connect`]. An error means that no connection was made.
    #[must_use]
    pub fn after_connect(
        mut self,
        hook: impl for<'a> Fn(&'a mut C::Connection) -> HookFuture<'a> + Send + Sync + 'static,
    ) -> Self {
        self.after_connect = Some(Box::new(hook));
        self
    }

    /// Runs each time before a connection is lent, behind [`Connect::before_acquire`]. An error closes the connection, and
    /// another is lent.
    #[must_use]
    pub fn before_acquire(
        mut self,
        hook: impl for<'a> Fn(&'a mut C::Connection) -> HookFuture<'a> + Send + Sync + 'static,
    ) -> Self {
        self.before_acquire = Some(Box::new(hook));
        self
    }

    /// Runs each time a connection comes back, behind [`Connect::reset`]; the connection is idle after that. An error
    /// closes it.
    #[must_use]
    pub fn after_release(
        mut self,
        hook: impl for<'a> Fn(&'a mut C::Connection) -> HookFuture<'a> + Send + Sync + 'static,
    ) -> Self {
        self.after_release = Some(Box::new(hook));
        self
    }
}

impl<C: Connect> Connect for Hooked<C> {
    type Connection = C::Connection;

    async fn connect(&self) -> Result<C::Connection, Error> {
        self.connect.connect().await
    }

    async fn check(&self, connection: &mut C::Connection) -> Result<(), Error> {
        self.connect.check(connection).await
    }

    fn is_broken(&self, connection: &mut C::Connection) -> bool {
        self.connect.is_broken(connection)
    }

    async fn after_connect(&self, connection: &mut C::Connection) -> Result<(), Error> {
        self.connect.after_connect(connection).await?;
        run(self.after_connect.as_ref(), connection).await
    }

    async fn before_acquire(&self, connection: &mut C::Connection) -> Result<(), Error> {
        self.connect.before_acquire(connection).await?;
        run(self.before_acquire.as_ref(), connection).await
    }

    fn is_clean(&self, connection: &mut C::Connection) -> bool {
        self.after_release.is_none() && self.connect.is_clean(connection)
    }

    async fn reset(&self, connection: &mut C::Connection) -> Result<(), Error> {
        if !self.connect.is_clean(connection) {
            self.connect.reset(connection).await?;
        }
        run(self.after_release.as_ref(), connection).await
    }

    async fn close(&self, connection: C::Connection) {
        self.connect.close(connection).await;
    }
}

async fn run<T>(hook: Option<&Hook<T>>, connection: &mut T) -> Result<(), Error> {
    match hook {
        Some(hook) => hook(connection).await,
        None => Ok(()),
    }
}

impl<C: Connect> fmt::Debug for Hooked<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked")
            .field("after_connect", &self.after_connect.is_some())
            .field("before_acquire", &self.before_acquire.is_some())
            .field("after_release", &self.after_release.is_some())
            .finish_non_exhaustive()
    }
}
