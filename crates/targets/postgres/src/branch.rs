use std::sync::Arc;

use standpipe_core::{
    Advance, Batch, Branch, BranchState, Claim, DeadLetter, Error, ErrorKind, LetterId, Reject, TableName,
    Vote, Xid, async_trait,
};

use crate::{
    dead_letters,
    error::Failure,
    holder, ledger,
    name::literal,
    planted::{self, Plant},
    postgres::Shared,
    session::Session,
    sqlstate,
    write::Writing,
};

/// A transaction of the server.
pub(crate) struct PostgresBranch {
    shared: Arc<Shared>,
    session: Session,
    xid: Option<Xid>,
    state: BranchState,
}

impl PostgresBranch {
    pub(crate) fn new(shared: Arc<Shared>, session: Session, xid: Option<Xid>) -> Self {
        PostgresBranch { shared, session, xid, state: BranchState::default() }
    }

    /// Runs one step of the branch. After an error, or when the future is dropped, no further one runs.
    async fn step<T>(
        &mut self,
        step: impl AsyncFnOnce(&Shared, &mut Session, bool) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.state.start()?;
        let mut outcome = step(&self.shared, &mut self.session, self.xid.is_some()).await;
        if let Err(error) = &mut outcome
            && error.code() == Some("55P03")
        {
            holder::name(&self.shared, error).await;
        }
        self.state.end(&outcome);
        outcome
    }

    /// Rows may have been written since the last lane was advanced, or without one.
    async fn prove(&mut self) -> Result<(), Error> {
        if self.session.is_unproven() {
            let proof = self.session.proof();
            let answer = self.session.ask(proof.trim_start_matches("; ")).await;
            self.session.prove(&answer.map_err(|failure| failure.explain("looking at the tables again"))?)?;
        }
        Ok(())
    }

    /// Ends the transaction by a statement that makes it last. What the server has not certainly refused is in doubt.
    async fn last(&mut self, statement: &str, doing: &str) -> Result<(), Error> {
        match self.session.end(statement).await {
            Ok(false) => Ok(()),
            // What an earlier statement has broken is rolled back, without an error.
            Ok(true) => {
                Err(Error::retry(format!("{doing} was a rollback: the transaction had failed before")))
            }
            Err(Failure::Server(refusal)) if sqlstate::refuses_commit(&refusal.code) => {
                Err(refusal.explain(doing))
            }
            Err(_) if planted::is(Plant::CommitErrorSwallowed) => Ok(()),
            Err(failure) => {
                let error = failure.explain(doing);
                Err(Error::in_doubt(format!("{doing} was not answered: {error}")).with_source(error))
            }
        }
    }
}

#[async_trait]
impl Branch for PostgresBranch {
    async fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>, Error> {
        self.step(async |shared, session, is_two_phase| {
            Writing { shared, is_two_phase }.write(session, batch).await
        })
        .await
    }

    async fn dead_letter(&mut self, table: &TableName, letters: &[DeadLetter]) -> Result<(), Error> {
        self.step(async |_, session, _| dead_letters::keep(session, table, letters).await).await
    }

    async fn withdraw(&mut self, table: &TableName, letters: &[LetterId]) -> Result<u64, Error> {
        self.step(async |_, session, _| dead_letters::withdraw(session, table, letters).await).await
    }

    async fn advance(&mut self, claim: &Claim, to: &Advance) -> Result<(), Error> {
        self.step(async |shared, session, _| ledger::advance(session, &shared.ledger, claim, to).await).await
    }

    async fn commit(mut self: Box<Self>) -> Result<(), Error> {
        self.state.check()?;
        self.prove().await?;
        self.last("COMMIT", "the commit").await
    }

    async fn prepare(mut self: Box<Self>) -> Result<Vote, Error> {
        self.state.check()?;
        let Some(xid) = self.xid.clone() else {
            return Err(Error::invalid("this branch was begun without an id, and cannot be prepared"));
        };
        self.prove().await?;
        let statement = format!("PREPARE TRANSACTION {}", literal(xid.as_str()));
        match self.last(&statement, "preparing the transaction").await {
            Err(error) if error.kind() == ErrorKind::InDoubt && error_code_is(&error, "55000") => {
                Err(Error::invalid(format!(
                    "{error}; set max_prepared_transactions on the server to at least the number of parallel branches"
                )))
            }
            outcome => outcome.map(|()| Vote::Yes),
        }
    }

    async fn rollback(mut self: Box<Self>) -> Result<(), Error> {
        if self.session.link()?.is_broken() {
            // The server rolls back what belongs to a connection that is gone.
            return Ok(());
        }
        self.session.end("ROLLBACK").await.map(drop).map_err(|failure| failure.explain("rolling back"))
    }
}

fn error_code_is(error: &Error, code: &str) -> bool {
    use std::error::Error as _;
    let source = error.source().and_then(|source| source.downcast_ref::<Error>());
    source.and_then(Error::code) == Some(code)
}
