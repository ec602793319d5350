use std::sync::Arc;

use standpipe_core::{
    Advance, Batch, Branch, Claim, DeadLetter, Error, Reject, TableName, async_trait,
};

use crate::{commit, dead_letters, ledger, load::Load, session::Session, worker::Worker};

/// A transaction that holds the database's write lock from its beginning to its end.
pub(crate) struct SqliteBranch {
    session: Session,
    state: State,
}

enum State {
    Fit,
    /// A call has not come back, or its future was dropped.
    UnderWay,
    Failed(String),
}

impl SqliteBranch {
    pub(crate) fn new(session: Session) -> Self {
        SqliteBranch { session, state: State::Fit }
    }

    /// Runs one step of the branch. After an error, or when the future is dropped, no further one runs.
    async fn step<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut Worker) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.fit()?;
        self.state = State::UnderWay;
        let outcome = self.session.link().run(job).await;
        self.state = match &outcome {
            Ok(_) => State::Fit,
            Err(error) => State::Failed(error.to_string()),
        };
        outcome
    }

    fn fit(&self) -> Result<(), Error> {
        match &self.state {
            State::Fit => Ok(()),
            State::UnderWay => Err(Error::invalid(
                "a call on this branch was dropped before it ended; nothing but rollback is left",
            )),
            State::Failed(earlier) => {
                Err(Error::invalid(format!("this branch has failed and cannot be committed: {earlier}")))
            }
        }
    }
}

#[async_trait]
impl Branch for SqliteBranch {
    async fn write(&mut self, batch: &Batch) -> Result<Vec<Reject>, Error> {
        let (load, abandoned) = (Load::of(batch), self.session.abandoned());
        self.step(move |worker| load.write(worker, &abandoned)).await
    }

    async fn dead_letter(&mut self, table: &TableName, letters: &[DeadLetter]) -> Result<(), Error> {
        let (table, letters) = (table.clone(), letters.to_vec());
        self.step(move |worker| dead_letters::keep(worker, &table, &letters)).await
    }

    async fn advance(&mut self, claim: &Claim, to: &Advance) -> Result<(), Error> {
        let (claim, to) = (claim.clone(), to.clone());
        self.step(move |worker| ledger::advance(worker, &claim, &to)).await
    }

    async fn commit(self: Box<Self>) -> Result<(), Error> {
        self.fit()?;
        let link = self.session.link();
        link.ask(commit::commit).await.unwrap_or_else(|| {
            let message = "the connection ended while the commit was under way";
            Err(Error::in_doubt(message).with_source(link.gone()))
        })
    }

    async fn rollback(self: Box<Self>) -> Result<(), Error> {
        let abandoned: Arc<_> = self.session.abandoned();
        abandoned.store(true, std::sync::atomic::Ordering::Release);
        // A connection that has ended has rolled it back.
        self.session.link().ask(Worker::roll_back).await.unwrap_or(Ok(()))
    }
}
