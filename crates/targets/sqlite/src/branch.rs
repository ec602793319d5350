use std::sync::Arc;

use standpipe_core::{
    Advance, Batch, Branch, BranchState, Claim, DeadLetter, Error, LetterId, Reject, TableName, async_trait,
};

use crate::{commit, dead_letters, ledger, load::Load, session::Session, worker::Worker};

/// A transaction that holds the database's write lock from its beginning to its end.
pub(crate) struct SqliteBranch {
    session: Session,
    state: BranchState,
}

impl SqliteBranch {
    pub(crate) fn new(session: Session) -> Self {
        SqliteBranch { session, state: BranchState::default() }
    }

    /// Runs one step of the branch. After an error, or when the future is dropped, no further one runs.
    async fn step<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut Worker) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.state.start()?;
        let outcome = self.session.link().run(job).await;
        self.state.end(&outcome);
        outcome
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

    async fn withdraw(&mut self, table: &TableName, letters: &[LetterId]) -> Result<u64, Error> {
        let (table, letters) = (table.clone(), letters.to_vec());
        self.step(move |worker| dead_letters::withdraw(worker, &table, &letters)).await
    }

    async fn advance(&mut self, claim: &Claim, to: &Advance) -> Result<(), Error> {
        let (claim, to) = (claim.clone(), to.clone());
        self.step(move |worker| ledger::advance(worker, &claim, &to)).await
    }

    async fn commit(self: Box<Self>) -> Result<(), Error> {
        self.state.check()?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use standpipe_core::{ClaimRequest, ErrorKind, Resolution, SourceId, StreamId, Target, Window};
    use standpipe_testkit::block_on;
    use tempfile::TempDir;

    use super::*;
    use crate::{Settings, Sqlite};

    async fn claimed() -> (TempDir, Sqlite, Claim) {
        let directory = tempfile::tempdir().unwrap();
        let target = Sqlite::open(directory.path().join("b.db"), Settings::default()).await.unwrap();
        let request = ClaimRequest {
            stream: StreamId::new("s").unwrap(),
            lanes: None,
            source: SourceId::new("test").unwrap(),
            window: Window::everything(),
            origin: 1,
            reopen: false,
            owner: String::new(),
        };
        let claim = target.claim(&request).await.unwrap().remove(0);
        (directory, target, claim)
    }

    fn to(position: u64) -> Advance {
        Advance { position, source_position: String::new(), complete: false }
    }

    #[test]
    fn a_thread_that_panics_is_noticed_and_replaced() {
        block_on(async {
            let (_directory, target, claim) = claimed().await;
            let mut branch = Box::new(SqliteBranch::new(target.session().await.unwrap()));
            branch.advance(&claim, &to(5)).await.unwrap();
            branch.session.link().send(|_| panic!("injected"));
            let error = branch.commit().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InDoubt, "{error}");
            assert_eq!(target.resolve(&[(claim.clone(), 5)]).await.unwrap(), Resolution::NotCommitted);

            let mut branch = Box::new(SqliteBranch::new(target.session().await.unwrap()));
            branch.session.link().send(|_| panic!("injected"));
            let error = branch.advance(&claim, &to(5)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
            assert!(branch.commit().await.is_err());

            let mut branch = target.begin(&[&claim], None).await.unwrap();
            branch.advance(&claim, &to(5)).await.unwrap();
            branch.commit().await.unwrap();
            assert_eq!(target.ledger(None).await.unwrap()[0].position, 5);
            target.close().await.unwrap();
        });
    }

    #[test]
    fn a_full_database_is_a_retry_and_keeps_nothing() {
        block_on(async {
            let (_directory, target, _) = claimed().await;
            let mut branch = Box::new(SqliteBranch::new(target.session().await.unwrap()));
            let filled = branch.step(|worker| {
                worker.connection.execute_batch("CREATE TABLE t (x); PRAGMA max_page_count = 20").unwrap();
                let wrote = worker.connection.execute("INSERT INTO t VALUES (zeroblob(1000000))", []);
                wrote.map(drop).map_err(|error| worker.refused(error, "writing"))
            });
            let error = filled.await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Retry, Some("SQLITE_FULL")));
            assert!(error.to_string().contains("make room"), "{error}");
            assert!(branch.commit().await.is_err());
            assert!(target.describe(&TableName::new("t")).await.unwrap().is_none());
            assert_eq!(target.ledger(None).await.unwrap()[0].position, 1);
        });
    }
}
