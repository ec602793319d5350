use async_trait::async_trait;

use crate::{Advance, Batch, Claim, DeadLetter, Error, LetterId, TableName};

/// A row that the target refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The block within the batch, from 0.
    pub block: usize,
    /// The tuple within the block, from 0.
    pub row: u32,
    /// The column at fault, where the target names one.
    pub column: Option<String>,
    /// The target's own code.
    pub code: Option<String>,
    /// What the target said.
    pub reason: String,
}

/// What a branch answers when it is asked to prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// It is prepared: it can be committed or rolled back from any connection, whatever dies.
    Yes,
    /// It has nothing to commit, and is already gone.
    ReadOnly,
}

/// One transaction of a target, from `begin` to its end.
///
/// # Duties of an implementer
/// 1. Nothing of a branch is seen by others before `commit` (or [`Participant::commit`](crate::Participant::commit)) succeeded, and then all of it.
/// 2. `write` keeps the good rows of a batch and names the bad ones; it fails only for what concerns the whole branch.
///    A block that says `truncate` empties the table first.
/// 3. `advance` succeeds only if the lane's epoch is the claim's **and** its position is the claim's position, checked inside this transaction;
///    else [`Error::Fenced`], after which nothing can be committed.
/// 4. An error of a ledger statement is never a row error.
/// 5. `commit` that cannot know how it ended says [`InDoubt`](crate::ErrorKind::InDoubt), never success or failure.
/// 6. A branch that is dropped is rolled back before its connection does anything else.
/// 7. Errors leave the branch fit for `rollback` only.
/// 8. `withdraw` counts a letter only if this transaction takes it out: it waits for another that is taking it out, or
///    fails with [`Retry`](crate::ErrorKind::Retry). So a letter is withdrawn by one commit, whoever else tries.
///
/// # Cancel safety
/// A future of `write`, `dead_letter`, `withdraw`, `advance` that is dropped leaves the branch fit for `rollback` or drop only. A
/// dropped `commit` is in doubt.
#[async_trait]
pub trait Branch: Send {
    /// Writes the rows of a batch and returns those that the target refused, ordered by block and row.
    ///
    /// # Errors
    /// [`Retry`](crate::ErrorKind::Retry) and others that concern the whole transaction.
    async fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>, Error>;

    /// Keeps dead letters in `table` of the same target, as part of this transaction. The table is made if it is absent.
    ///
    /// # Errors
    /// As `write`; [`Invalid`](crate::ErrorKind::Invalid) where the target keeps none.
    async fn dead_letter(&mut self, table: &TableName, letters: &[DeadLetter]) -> Result<(), Error>;

    /// Takes dead letters out of `table` of the same target, as part of this transaction, and returns how many of them
    /// were there: one that another transaction took out first is not counted. Name each once, in the order in
    /// which [`Target::dead_letters`](crate::Target::dead_letters) gives them, so that two who withdraw never wait on each other. One that is kept again in the same transaction is there again.
    ///
    /// # Errors
    /// As `write`; [`Invalid`](crate::ErrorKind::Invalid) where the target keeps none.
    async fn withdraw(&mut self, table: &TableName, letters: &[LetterId]) -> Result<u64, Error> {
        let _ = letters;
        Err(Error::invalid(format!("this target keeps no dead letters in tables such as {table}")))
    }

    /// Moves a lane from the claim's position to `to`. Call it for the lanes in the order of their ids, so that two owners never wait on each
    /// other.
    ///
    /// # Errors
    /// [`Error::Fenced`] (duty 3), or what concerns the whole transaction.
    async fn advance(&mut self, claim: &Claim, to: &Advance) -> Result<(), Error>;

    /// Makes it all durable and visible at once.
    ///
    /// # Errors
    /// [`InDoubt`](crate::ErrorKind::InDoubt): ask [`Target::resolve`](crate::Target::resolve). Every other error: nothing was committed.
    async fn commit(self: Box<Self>) -> Result<(), Error>;

    /// The first phase of two: makes the branch durable without showing it, under the id it was begun with.
    ///
    /// # Errors
    /// The vote is no: the branch is rolled back. [`InDoubt`](crate::ErrorKind::InDoubt): it may be prepared; recovery finds it.
    async fn prepare(self: Box<Self>) -> Result<Vote, Error> {
        Err(Error::invalid("this target takes no part in two-phase commit"))
    }

    /// Undoes it all.
    ///
    /// # Errors
    /// The connection is lost; the target undoes it by itself.
    async fn rollback(self: Box<Self>) -> Result<(), Error>;
}
