use async_trait::async_trait;

use crate::{Error, Xid};

/// The name of a participant, the same in every life of the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(pub String);

/// A distributed transaction that was decided to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The transaction.
    pub xid: Xid,
    /// Who has a branch of it.
    pub participants: Vec<ParticipantId>,
}

/// Where a coordinator keeps what it decided. What is not recorded is rolled back.
///
/// # Duties of an implementer
/// 1. `record` returns only when the decision is durable.
/// 2. `unfinished` lists every recorded decision that was not forgotten, or fails: never a part of them.
#[async_trait]
pub trait DecisionLog: Send + Sync + 'static {
    /// Decides to commit, durably.
    ///
    /// # Errors
    /// [`InDoubt`](crate::ErrorKind::InDoubt) when it may or may not be recorded.
    async fn record(&self, xid: &Xid, participants: &[ParticipantId]) -> Result<(), Error>;

    /// The decision about a transaction, `None` when it was never decided to commit.
    ///
    /// # Errors
    /// When it cannot be known.
    async fn lookup(&self, xid: &Xid) -> Result<Option<Decision>, Error>;

    /// Every decision that was not forgotten.
    ///
    /// # Errors
    /// When not all of them could be listed.
    async fn unfinished(&self) -> Result<Vec<Decision>, Error>;

    /// Drops a decision that every participant carried out.
    ///
    /// # Errors
    /// Those of the store.
    async fn forget(&self, xid: &Xid) -> Result<(), Error>;
}
