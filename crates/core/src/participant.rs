use std::fmt;

use async_trait::async_trait;

use crate::Error;

/// The name of a distributed transaction's branch: at most 64 bytes of letters, digits, `_`, `-`, `.` and `:`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid(String);

impl Xid {
    /// The longest name, in bytes; the smallest limit among databases.
    pub const BYTES_MAX: usize = 64;

    /// Takes the name as it is.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when it is empty, too long or holds another character.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let fits = !name.is_empty()
            && name.len() <= Self::BYTES_MAX
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte));
        if fits {
            Ok(Xid(name))
        } else {
            Err(Error::invalid(format!("{name:?} is no name for a transaction")))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The second phase of two-phase commit, from any connection and any process.
///
/// # Duties of an implementer
/// 1. `commit` and `rollback` of a branch that is already ended that way succeed.
/// 2. `recover` lists every prepared branch of the prefix, or fails: never a part of them.
#[async_trait]
pub trait Participant: Send + Sync + 'static {
    /// Commits a prepared branch.
    ///
    /// # Errors
    /// [`Retry`](crate::ErrorKind::Retry) while the outcome is not reached.
    async fn commit(&self, xid: &Xid) -> Result<(), Error>;

    /// Rolls a prepared branch back.
    ///
    /// # Errors
    /// [`Retry`](crate::ErrorKind::Retry) while the outcome is not reached.
    async fn rollback(&self, xid: &Xid) -> Result<(), Error>;

    /// Every prepared branch whose name begins with `prefix`.
    ///
    /// # Errors
    /// When not all of them could be listed.
    async fn recover(&self, prefix: &str) -> Result<Vec<Xid>, Error>;
}
