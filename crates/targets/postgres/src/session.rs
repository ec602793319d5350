use std::sync::Arc;

use standpipe_core::{Error, ErrorKind};
use standpipe_pool::{Pool, PoolLease};

use crate::{
    dial::Dial,
    error::Failure,
    link::{Answer, Link},
    plan::Plan,
    planted::{self, Plant},
};

/// A connection with a transaction open on it, and a savepoint to go back to. Dropped with its transaction open it closes
/// the connection: the server rolls back at once, and nobody has to wait for an answer.
pub(crate) struct Session {
    /// There until the drop.
    lease: Option<PoolLease<Dial>>,
    /// Something was written behind the savepoint.
    is_marked: bool,
    written: u64,
    /// By what rows were written since the tables were last seen to be as these have them.
    unproven: Vec<Arc<Plan>>,
}

impl Session {
    /// Opens a transaction. What holds for the transaction alone is said in it: no session is relied on.
    pub(crate) async fn begin(pool: &Pool<Dial>, begin: &str) -> Result<Self, Error> {
        let mut replaced = false;
        loop {
            let mut session = Session {
                lease: Some(pool.acquire().await?),
                is_marked: true,
                written: 0,
                unproven: Vec::new(),
            };
            session.link()?.set_in_transaction(true);
            match session.ask(begin).await {
                Ok(_) => return Ok(session),
                // The connection had ended unnoticed: a fresh one, once.
                Err(failure) if failure.ends_connection() && !replaced => replaced = true,
                Err(failure) => return Err(unopened(failure)),
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

    /// As [`mark`](Self::mark), to be said before the next statement in the same breath.
    pub(crate) fn marking(&mut self) -> &'static str {
        let is_needed = !std::mem::replace(&mut self.is_marked, true);
        if is_needed { "RELEASE SAVEPOINT standpipe; SAVEPOINT standpipe; " } else { "" }
    }

    /// A statement has marked what came before it.
    pub(crate) fn was_marked(&mut self) {
        self.is_marked = true;
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

    /// Rows are about to be written by this plan. Says whether it is the first time.
    pub(crate) fn relies_on(&mut self, plan: &Arc<Plan>) -> bool {
        let is_new = !self.unproven.iter().any(|known| Arc::ptr_eq(known, plan));
        if is_new {
            self.unproven.push(Arc::clone(plan));
        }
        is_new
    }

    /// Nothing that was written by this plan is left.
    pub(crate) fn forget(&mut self, plan: &Arc<Plan>) {
        self.unproven.retain(|known| !Arc::ptr_eq(known, plan));
    }

    /// Whether a table may be another than the plan had it by which rows were written.
    pub(crate) fn is_unproven(&self) -> bool {
        !self.unproven.is_empty()
    }

    /// Statements that prove it, to be asked behind others: what was written keeps the tables as they are from then on.
    /// They have to be asked, since a column of another type may take the old one's bytes for its own without a word.
    pub(crate) fn proof(&self) -> String {
        self.unproven.iter().map(|plan| format!("; {}", plan.mark_query)).collect()
    }

    /// Judges the answer to [`proof`](Self::proof).
    ///
    /// # Errors
    /// [`Retry`](standpipe_core::ErrorKind::Retry): a table was changed. Its plan is not used any more.
    pub(crate) fn prove(&mut self, answer: &Answer) -> Result<(), Error> {
        // One for each, in order.
        let mut marks = answer.rows.iter().map(|row| row.first().and_then(Option::as_deref));
        let mut changed = None;
        for plan in self.unproven.drain(..) {
            let mark = marks.next().flatten();
            if mark != Some(plan.found.mark.as_str()) && !planted::is(Plant::ShapeBelieved) {
                plan.set_stale();
                changed = Some(plan);
            }
        }
        match changed {
            None => Ok(()),
            Some(plan) => {
                Err(Error::retry(format!("table {} was changed while rows were written to it", plan.table)))
            }
        }
    }

    /// Undoes what was written since the mark.
    pub(crate) async fn undo(&mut self) -> Result<(), Failure> {
        self.ask("ROLLBACK TO SAVEPOINT standpipe").await?;
        self.is_marked = true;
        Ok(())
    }

    /// Ends the transaction with this statement. Whether it was rolled back.
    pub(crate) async fn end(&mut self, sql: &str) -> Result<bool, Failure> {
        let link = self.link().map_err(Failure::Connection)?;
        let answer = link.ask(sql).await?;
        link.set_in_transaction(false);
        Ok(answer.is_rolled_back)
    }
}

/// Why a transaction that writes could not be opened.
pub(crate) fn unopened(failure: Failure) -> Error {
    match failure {
        // A standby says it of READ WRITE. It may be promoted, or the address may lead to another one.
        Failure::Server(refusal) if refusal.code == "0A000" => {
            let error = refusal.as_kind(ErrorKind::Retry, "opening a transaction");
            Error::new(ErrorKind::Retry, format!("{error}; this server is a standby; waiting for a primary"))
                .with_code(refusal.code)
        }
        failure => failure.explain("opening a transaction"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refusal;

    #[test]
    fn a_standby_is_waited_for() {
        let refusal = |code: &str| Refusal {
            code: code.into(),
            message: "cannot set transaction read-write mode during recovery".into(),
            detail: None,
            hint: None,
            column: None,
            context: None,
            is_fatal: false,
        };
        let error = unopened(Failure::Server(Box::new(refusal("0A000"))));
        assert_eq!(error.kind(), ErrorKind::Retry);
        assert!(error.to_string().contains("standby"), "{error}");
        assert_eq!(unopened(Failure::Server(Box::new(refusal("42501")))).kind(), ErrorKind::Invalid);
    }
}
