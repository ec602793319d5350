//! A connection, and what is asked of it. Only simple queries: nothing is prepared, so that nothing is left in a session
//! that a pooler in between lends to somebody else, and each text is one round trip, however many statements it has.

use std::{future::Future, sync::Arc, time::Duration};

use standpipe_core::Error;

pub(crate) use crate::wire::Answer;
use crate::{
    address::Address,
    error::Failure,
    registry::{Registry, Slot},
    wire::Wire,
};

/// A connection to the server.
pub(crate) struct Link {
    slot: Arc<Slot>,
    registry: Arc<Registry>,
    user: String,
    /// How long one answer may take.
    patience: Duration,
    state: State,
    in_transaction: bool,
}

#[derive(PartialEq)]
enum State {
    Fit,
    /// A call has not come back, or its future was dropped: what the server answers next belongs to it.
    UnderWay,
    Lost,
}

impl Link {
    pub(crate) async fn open(
        address: &Address,
        registry: &Arc<Registry>,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let wire = Wire::open(address).await?;
        Ok(Link {
            slot: registry.register(wire),
            registry: Arc::clone(registry),
            user: address.user.clone(),
            patience,
            state: State::Fit,
            in_transaction: false,
        })
    }

    /// Runs the statements of a text, in order, until one fails.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<Answer, Failure> {
        self.start()?;
        let outcome = self.within(ask(&self.slot, sql)).await;
        self.settle(outcome)
    }

    /// Runs a statement in a transaction of its own, opened by `begin`: what a role's defaults say of transactions and locks
    /// does not hold for it.
    pub(crate) async fn ask_alone(&mut self, begin: &str, statement: &str) -> Result<Answer, Failure> {
        self.set_in_transaction(true);
        let outcome = self.ask(&format!("{begin}; {statement}; COMMIT")).await;
        if let Err(Failure::Server(_)) = &outcome {
            self.ask("ROLLBACK").await?;
        }
        if !self.is_broken() {
            self.set_in_transaction(false);
        }
        outcome
    }

    /// Runs a `COPY .. FROM STDIN` with these pieces of data. Returns the number of rows that it took.
    pub(crate) async fn copy<'a>(
        &mut self,
        statement: &str,
        pieces: impl Iterator<Item = &'a [u8]> + Send,
    ) -> Result<u64, Failure> {
        self.start()?;
        let outcome = self.within(copy(&self.slot, statement, pieces)).await;
        self.settle(outcome)
    }

    fn start(&mut self) -> Result<(), Failure> {
        if self.registry.is_closed() {
            return Err(closed());
        }
        match self.state {
            State::Fit => {
                self.state = State::UnderWay;
                Ok(())
            }
            State::UnderWay => {
                Err(Failure::Connection(Error::invalid("a call on this connection was dropped midway")))
            }
            State::Lost => Err(Failure::Connection(Error::retry("the connection was lost before"))),
        }
    }

    /// The call's outcome, unless it takes too long or everything is closed.
    async fn within<T>(&self, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let too_late = async {
            if self.patience == Duration::MAX {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.patience).await;
        };
        tokio::select! {
            biased;
            outcome = call => outcome,
            () = self.registry.closed() => Err(closed()),
            () = too_late => Err(Failure::Connection(Error::retry(format!(
                "the server did not answer within {:?} (answer_timeout): the network is cut, a synchronous standby is waited for, \
                 or it takes longer than that; smaller batches (--batch-rows) are answered sooner",
                self.patience
            )))),
        }
    }

    fn settle<T>(&mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        self.state = match &outcome {
            Ok(_) => State::Fit,
            Err(failure) if failure.ends_connection() => State::Lost,
            Err(_) => State::Fit,
        };
        outcome
    }

    /// The role that everything is done as.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Whether nothing can be asked of it any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.state != State::Fit
    }

    pub(crate) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    pub(crate) fn set_in_transaction(&mut self, open: bool) {
        self.in_transaction = open;
    }

    /// Takes leave of the server.
    pub(crate) async fn close(self) {
        if let Some(wire) = self.slot.lock().await.take() {
            wire.close().await;
        }
    }
}

async fn ask(slot: &Slot, sql: &str) -> Result<Answer, Failure> {
    match slot.lock().await.as_mut() {
        Some(wire) => wire.ask(sql).await,
        None => Err(closed()),
    }
}

async fn copy<'a>(
    slot: &Slot,
    statement: &str,
    pieces: impl Iterator<Item = &'a [u8]> + Send,
) -> Result<u64, Failure> {
    match slot.lock().await.as_mut() {
        Some(wire) => wire.copy(statement, pieces).await,
        None => Err(closed()),
    }
}

fn closed() -> Failure {
    Failure::Connection(Error::closed("the target is closed"))
}
