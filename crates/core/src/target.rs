use async_trait::async_trait;

use crate::{
    Branch, Claim, ClaimRequest, Column, DeadLetter, Error, Finding, LedgerRow, LetterPage, Resolution,
    Schema, StreamId, TableName, TableShape, Xid,
};

/// What a target can keep. A sink promises no more than this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Rows and positions move in one transaction: each row once.
    Transactional,
    /// Rows may be written again, which changes nothing as long as these columns are a key.
    Idempotent(Vec<String>),
    /// Rows may be written again and are then there again.
    AtLeastOnce,
}

/// Where a lane moves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Everything below this is applied once the branch is committed.
    pub position: u64,
    /// What the source wants to remember about it.
    pub source_position: String,
    /// The source ends here.
    pub complete: bool,
}

/// A database, or anything else that takes rows. Usable as `dyn Target`.
///
/// # Duties of an implementer
/// 1. `claim` decides by [`ClaimRequest::judge`] in the same transaction in which it writes, and writes nothing on an error or [`Verdict::Complete`](crate::Verdict::Complete).
/// 2. `claim` returns only when no commit of an earlier epoch can follow: the positions it returns are final.
/// 3. After a claim every `advance` of an earlier epoch fails.
/// 4. A claim's position is what the last committed `advance` said.
/// 5. Several lanes, of several streams, can move in one branch: all or none.
/// 6. `resolve` never guesses: it answers from the target, or fails.
/// 7. `guarantee` says no more than is kept.
/// 8. Rows of a lane are applied in the order in which they are given.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// What this target can keep.
    fn guarantee(&self) -> Guarantee;

    /// Takes all lanes of a stream, fencing whoever had them. Empty when the source is complete (nothing was written).
    /// The claims come in the order of their lanes.
    ///
    /// # Errors
    /// Those of [`ClaimRequest::judge`]; [`Retry`](crate::ErrorKind::Retry) when another's transaction holds the rows longer than the target's
    /// lock timeout, naming the holder where the target can.
    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, Error>;

    /// Opens a transaction in which these lanes are to move; with none it moves no lane. With an id it can be prepared.
    ///
    /// # Errors
    /// [`Retry`](crate::ErrorKind::Retry) and others of the connection.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing open.
    async fn begin(&self, claims: &[&Claim], xid: Option<&Xid>) -> Result<Box<dyn Branch>, Error>;

    /// Finds out how a commit ended that was to move each claim's lane from the claim's position to the position beside it.
    ///
    /// # Errors
    /// [`Retry`](crate::ErrorKind::Retry) while the target cannot be asked. [`Invalid`](crate::ErrorKind::Invalid) when its answer fits neither outcome.
    async fn resolve(&self, moves: &[(Claim, u64)]) -> Result<Resolution, Error>;

    /// The ledger's rows, of one stream or of all, ordered by stream and lane. Changes nothing; empty when there is no ledger yet.
    ///
    /// # Errors
    /// Those of the connection.
    async fn ledger(&self, stream: Option<&StreamId>) -> Result<Vec<LedgerRow>, Error>;

    /// A table as it is now, `None` when it does not exist.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for something that takes no rows, such as a view.
    async fn describe(&self, table: &TableName) -> Result<Option<TableShape>, Error>;

    /// Makes a table with these columns, and `key` as its primary key unless it is empty. Does nothing when it exists.
    ///
    /// # Errors
    /// Those of the connection, or that the target takes no such table.
    async fn create(&self, table: &TableName, schema: &Schema, key: &[String]) -> Result<(), Error>;

    /// Adds a column. Does nothing when it exists.
    ///
    /// # Errors
    /// Those of the connection, or that the target takes no such column.
    async fn add_column(&self, table: &TableName, column: &Column) -> Result<(), Error>;

    /// Dead letters that were kept in `table`, as far as the page goes. Empty when there is no such table, and only then or
    /// behind the last one.
    ///
    /// They come in the order of their ids: stream by stream (in an order of the target's own that does not change), then
    /// by lane, position and ordinal, so the oldest of a lane first. That holds whatever was withdrawn in between.
    ///
    /// # Errors
    /// Those of the connection; [`Invalid`](crate::ErrorKind::Invalid) where the target keeps none.
    async fn dead_letters(&self, table: &TableName, page: &LetterPage) -> Result<Vec<DeadLetter>, Error> {
        let _ = page;
        Err(Error::invalid(format!("this target keeps no dead letters in tables such as {table}")))
    }

    /// Looks at what the target's settings mean for what is promised. Changes nothing.
    ///
    /// # Errors
    /// Those of the connection.
    async fn doctor(&self) -> Result<Vec<Finding>, Error> {
        Ok(Vec::new())
    }

    /// Whether its float columns hold NaN and the infinities. `false`, unless the target says so: then parsers refuse them.
    fn holds_non_finite(&self) -> bool {
        false
    }

    /// What people may want to know at the end of a load, a line each: how much of the work was done in the fast way.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Ends every connection. Branches that are open are rolled back.
    ///
    /// # Errors
    /// A connection that could not be ended properly.
    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}
