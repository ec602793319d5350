//! A database of sqlx's whose connections lead nowhere, and are counted by the test kit.

mod empty;

use std::{convert::Infallible, fmt, future::Future, str::FromStr, time::Duration};

use either::Either;
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::{FutureExt, StreamExt, future, stream};
use log::LevelFilter;
use sqlx_core::{
    Error, Url,
    connection::{ConnectOptions, Connection},
    database::Database,
    error::{DatabaseError, ErrorKind},
    executor::{Execute, Executor},
    sql_str::SqlStr,
    transaction::{Transaction, TransactionManager},
};
use standpipe_core::Connect;
use standpipe_testkit::{SimConnect, acquire_suite::SimConnection};

use self::empty::{NoArguments, NoColumn, NoResult, NoRow, NoStatement, NoType, NoValue};

#[derive(Debug)]
pub(crate) struct Nowhere;

impl Database for Nowhere {
    type Connection = ToNowhere;
    type TransactionManager = NoTransactions;
    type Row = NoRow;
    type QueryResult = NoResult;
    type Column = NoColumn;
    type TypeInfo = NoType;
    type Value = NoValue;
    type ValueRef<'r> = NoValue;
    type Arguments = NoArguments;
    type ArgumentBuffer = Infallible;
    type Statement = NoStatement;

    const NAME: &'static str = "Nowhere";
    const URL_SCHEMES: &'static [&'static str] = &["nowhere"];
}

/// Says where: to whoever counts.
#[derive(Clone, Debug)]
pub(crate) struct To(pub(crate) SimConnect);

#[derive(Debug)]
pub(crate) struct ToNowhere {
    pub(crate) counted: SimConnection,
    to: To,
}

impl ConnectOptions for To {
    type Connection = ToNowhere;

    fn from_url(_: &Url) -> Result<Self, Error> {
        unreachable!("nobody has a URL")
    }

    async fn connect(&self) -> Result<ToNowhere, Error> {
        let counted = self.0.connect().await.map_err(refused)?;
        Ok(ToNowhere { counted, to: self.clone() })
    }

    fn log_statements(self, _: LevelFilter) -> Self {
        self
    }

    fn log_slow_statements(self, _: LevelFilter, _: Duration) -> Self {
        self
    }
}

impl FromStr for To {
    type Err = Error;

    fn from_str(_: &str) -> Result<Self, Error> {
        unreachable!("nobody has a URL")
    }
}

impl Connection for ToNowhere {
    type Database = Nowhere;
    type Options = To;

    async fn close(self) -> Result<(), Error> {
        Ok(())
    }

    async fn close_hard(self) -> Result<(), Error> {
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Error> {
        self.to.0.check(&mut self.counted).await.map_err(refused)
    }

    fn begin(&mut self) -> impl Future<Output = Result<Transaction<'_, Nowhere>, Error>> + Send + '_ {
        Transaction::begin(self, None)
    }

    fn shrink_buffers(&mut self) {}

    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn should_flush(&self) -> bool {
        false
    }
}

pub(crate) struct NoTransactions;

impl TransactionManager for NoTransactions {
    type Database = Nowhere;

    async fn begin(_: &mut ToNowhere, _: Option<SqlStr>) -> Result<(), Error> {
        Ok(())
    }

    async fn commit(_: &mut ToNowhere) -> Result<(), Error> {
        Ok(())
    }

    async fn rollback(_: &mut ToNowhere) -> Result<(), Error> {
        Ok(())
    }

    fn start_rollback(_: &mut ToNowhere) {}

    fn get_transaction_depth(_: &ToNowhere) -> usize {
        0
    }
}

/// A statement is a round trip, and nothing more.
impl<'c> Executor<'c> for &'c mut ToNowhere {
    type Database = Nowhere;

    fn fetch_many<'e, 'q: 'e, E>(self, _: E) -> BoxStream<'e, Result<Either<NoResult, NoRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Nowhere>,
    {
        stream::once(async move { self.ping().await.map(|()| Either::Left(NoResult)) }).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, _: E) -> BoxFuture<'e, Result<Option<NoRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Nowhere>,
    {
        async move { self.ping().await.map(|()| None) }.boxed()
    }

    fn prepare_with<'e>(self, _: SqlStr, _: &'e [NoType]) -> BoxFuture<'e, Result<NoStatement, Error>>
    where
        'c: 'e,
    {
        future::ready(Err(Error::BeginFailed)).boxed()
    }
}

/// The test kit's error as one that a database sent.
#[derive(Debug)]
struct Refused(standpipe_core::Error);

fn refused(error: standpipe_core::Error) -> Error {
    Error::Database(Box::new(Refused(error)))
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Refused {}

impl DatabaseError for Refused {
    fn message(&self) -> &str {
        "password authentication failed"
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.0.code().map(Into::into)
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
