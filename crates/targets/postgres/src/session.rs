use standpipe_core::Error;
use standpipe_pool::{Pool, PoolLease};

use crate::{
    dial::Dial,
    error::Failure,
    link::{Answer, Link},
};

/// A connection with a transaction open on it, and a savepoint to go back to. Dropped with its transaction open it closes
/// the connection: the server rolls back at once, and nobody has to wait for an answer.
pub(crate) struct Session {
    /// There until the drop.
    lease: Option<PoolLease<Dial>>,
    /// Something was written behind the savepoint.
    is_marked: bool,
    written: u64,
}

impl Session {
    /// Opens a transaction. What holds for the transaction alone is said in it: no session is relied on.
    pub(crate) async fn begin(pool: &Pool<Dial>, begin: &str) -> Result<Self, Error> {
        let mut replaced = false;
        loop {
            let mut session = Session { lease: Some(pool.acquire().await?), is_marked: true, written: 0 };
            session.link()?.set_in_transaction(true);
            match session.ask(begin).await {
                Ok(_) => return Ok(session),
                // The connection had ended unnoticed: a fresh one, once.
                Err(Failure::Connection(_)) if !replaced => replaced = true,
                Err(failure) => return Err(failure.explain("opening a transaction")),
            }
        }
    }

    pub(crate) fn link(&mut self) -> Result<&mut Link, Error> {
        self.lease.as_deref_mut().ok_or_else(|| Error::closed("the transaction has ended"))
    }

    pub(crate) async fn ask(&mut self, sql: &str) -> Result<Answer, Failure> {
        self.link().map_err(Failure::Connection)?.ask(sql).await
    }

    /// Everything written so far stays, whatever the next statements meet. Nothing is asked where nothing was written
    /// since the last mark.
    pub(crate) async fn mark(&mut self) -> Result<(), Failure> {
        if !self.is_marked {
            self.ask("RELEASE SAVEPOINT standpipe; SAVEPOINT standpipe").await?;
            self.is_marked = true;
        }
        Ok(())
    }

    /// What follows is no longer covered by the mark.
    pub(crate) fn wrote(&mut self) {
        self.is_marked = false;
    }

    /// Rows went into their table, and stay unless the whole transaction goes.
    pub(crate) fn count_written(&mut self) {
        self.written += 1;
    }

    /// How often rows went into a table.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Undoes what was written since the mark.
    pub(crate) async fn undo(&mut self) -> Result<(), Failure> {
        self.ask("ROLLBACK TO SAVEPOINT standpipe").await?;
        self.is_marked = true;
        Ok(())
    }

    /// Ends the transaction with this statement.
    pub(crate) async fn end(&mut self, sql: &str) -> Result<(), Failure> {
        let link = self.link().map_err(Failure::Connection)?;
        link.ask(sql).await?;
        link.set_in_transaction(false);
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take()
            && lease.in_transaction()
        {
            lease.discard();
        }
    }
}
