use std::{future::Future, ops::DerefMut};

use crate::Error;

/// Makes connections, and tells good ones from broken ones.
///
/// # Duties of an implementer
/// 1. A dropped future of `connect` or `check` leaves nothing open.
/// 2. `is_broken` is cheap and does no I/O.
/// 3. `check` leaves the connection as a fresh one: no transaction open.
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
