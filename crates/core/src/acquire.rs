use std::{
    future::{Future, ready},
    ops::DerefMut,
};

use crate::Error;

/// Makes connections, and tells good ones from broken ones.
///
/// What has a body here does nothing: an implementer writes it where its connections need it.
///
/// # Duties of an implementer
/// 1. A dropped future leaves nothing open that was not given to it: `connect` nothing at all.
/// 2. `is_broken` and `is_clean` are cheap and do no I/O.
/// 3. `check` and `reset` leave the connection as a fresh one: no transaction open.
/// 4. A connection of which `is_clean` says yes is as a fresh one.
/// 5. A connection whose `check` or `before_acquire` was dropped midway can be checked again.
pub trait Connect: Send + Sync + 'static {
    /// What is connected.
    type Connection: Send + 'static;

    /// Makes a new connection.
    ///
    /// # Errors
    /// The true reason: authentication, refused, TLS.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Error>> + Send;

    /// Asks a connection that was idle whether it still works.
    ///
    /// # Errors
    /// It does not; it will be dropped.
    fn check(&self, connection: &mut Self::Connection) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether a connection that comes back is known to be unusable.
    fn is_broken(&self, connection: &mut Self::Connection) -> bool;

    /// Prepares a connection that was just made, as part of making it.
    ///
    /// # Errors
    /// It cannot be used; it counts as not made.
    fn after_connect(
        &self,
        _connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        ready(Ok(()))
    }

    /// Prepares a connection for its next user, each time before it is lent, and after its check if that is due.
    ///
    /// # Errors
    /// It will be dropped, and another one lent.
    fn before_acquire(
        &self,
        _connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        ready(Ok(()))
    }

    /// Whether a connection that comes back can be lent as it is. If not, it is [`reset`](Connect::reset) before.
    fn is_clean(&self, _connection: &mut Self::Connection) -> bool {
        true
    }

    /// Makes a used connection as a fresh one, with a round trip where that takes one: a transaction rolled back.
    ///
    /// # Errors
    /// It cannot be used again; it will be dropped.
    fn reset(&self, _connection: &mut Self::Connection) -> impl Future<Output = Result<(), Error>> + Send {
        ready(Ok(()))
    }

    /// Takes leave of the other side before the connection is dropped, where there is time for that.
    fn close(&self, connection: Self::Connection) -> impl Future<Output = ()> + Send {
        drop(connection);
        ready(())
    }
}

/// Lends connections: our pool, or another in its place.
///
/// # Duties of an implementer
/// 1. A lease holds its place in the pool for as long as it lives: never are more lent than the limit says.
/// 2. Waiters are served in the order in which they came; nobody barges past.
/// 3. A dropped future of `acquire` leaves the counts exact and loses no healthy connection.
/// 4. A lease that is dropped gives the connection back; one that is discarded closes it, and its place is free again.
/// 5. The reason why no connection could be made reaches the waiter.
pub trait Acquire: Send + Sync + 'static {
    /// What is lent.
    type Connection: Send + 'static;
    /// The loan.
    type Lease: Lease<Connection = Self::Connection>;

    /// Borrows a connection, waiting for one if it must.
    ///
    /// # Errors
    /// [`Retry`](crate::ErrorKind::Retry) when none came in time; [`Closed`](crate::ErrorKind::Closed); the error of connecting.
    ///
    /// # Cancel safety
    /// See duty 3.
    fn acquire(&self) -> impl Future<Output = Result<Self::Lease, Error>> + Send;
}

/// A borrowed connection. Dropping it gives it back.
pub trait Lease: DerefMut<Target = Self::Connection> + Send + 'static {
    /// What is lent.
    type Connection;

    /// Closes the connection instead of giving it back.
    fn discard(self);
}
