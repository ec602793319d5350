//! A connection, and what is asked of it. Only simple queries: nothing is prepared, so that nothing is left in a session
//! that a pooler in between lends to somebody else, and each text is one round trip, however many statements it has.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection, Either, Executor, PgConnection, Row, ValueRef,
    postgres::{PgConnectOptions, PgRow},
};
use standpipe_core::{Error, ErrorKind};

use crate::{
    error::Failure,
    registry::{Registry, Slot},
};

/// Bytes of one message of a copy: what the driver copies at a time.
const COPY_BYTES: usize = 128 * 1024;

/// A connection to the server.
pub(crate) struct Link {
    slot: Arc<Slot>,
    registry: Arc<Registry>,
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

/// What the statements of a text came to.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Rows of all statements; values as text.
    pub(crate) rows: Vec<Vec<Option<String>>>,
    /// Rows that each statement touched, in order.
    pub(crate) touched: Vec<u64>,
}

impl Link {
    pub(crate) async fn open(
        options: &PgConnectOptions,
        registry: &Arc<Registry>,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let connection = PgConnection::connect_with(options).await.map_err(Failure::of)?;
        Ok(Link {
            slot: registry.register(connection),
            registry: Arc::clone(registry),
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
            return Err(Failure::Connection(Error::closed("the target is closed")));
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
    async fn within<T>(&self, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
        let too_late = async {
            if self.patience == Duration::MAX {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.patience).await;
        };
        tokio::select! {
            biased;
            outcome = call => outcome.map_err(Failure::of),
            () = self.registry.closed() => Err(Failure::Connection(Error::closed("the target is closed"))),
            () = too_late => Err(Failure::Connection(Error::retry(format!(
                "the server did not answer within {:?} (answer_timeout)",
                self.patience
            )))),
        }
    }

    fn settle<T>(&mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        self.state = match &outcome {
            Ok(_) => State::Fit,
            Err(Failure::Server(refusal)) if !refusal.is_fatal => State::Fit,
            Err(_) => State::Lost,
        };
        outcome
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
        if let Some(connection) = self.slot.lock().await.take() {
            // The server notices a connection that is gone by itself, later.
            let _ = connection.close().await;
        }
    }
}

async fn ask(slot: &Slot, sql: &str) -> Result<Answer, sqlx::Error> {
    let mut slot = slot.lock().await;
    let connection = slot.as_mut().ok_or(sqlx::Error::PoolClosed)?;
    let mut answer = Answer::default();
    let mut steps = connection.fetch_many(sqlx::raw_sql(AssertSqlSafe(sql)));
    while let Some(step) = steps.try_next().await? {
        match step {
            Either::Left(done) => answer.touched.push(done.rows_affected()),
            Either::Right(row) => answer.rows.push(texts(&row)?),
        }
    }
    Ok(answer)
}

async fn copy<'a>(
    slot: &Slot,
    statement: &str,
    pieces: impl Iterator<Item = &'a [u8]> + Send,
) -> Result<u64, sqlx::Error> {
    let mut slot = slot.lock().await;
    let connection = slot.as_mut().ok_or(sqlx::Error::PoolClosed)?;
    let mut copy = connection.copy_in_raw(statement).await?;
    for piece in pieces {
        for chunk in piece.chunks(COPY_BYTES) {
            copy.send(chunk).await?;
        }
    }
    copy.finish().await
}

fn texts(row: &PgRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                return Ok(None);
            }
            value.as_str().map(|text| Some(text.to_owned())).map_err(sqlx::Error::Decode)
        })
        .collect()
}

impl Answer {
    /// The text in a row's column, which is not NULL.
    pub(crate) fn text(row: &[Option<String>], column: usize) -> Result<&str, Error> {
        row.get(column).and_then(Option::as_deref).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("the server's answer has no column {column}"))
        })
    }
}
