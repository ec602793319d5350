//! Errors of the driver as errors of the house.

use sqlx::postgres::PgDatabaseError;
use standpipe_core::{Error, ErrorKind};

use crate::sqlstate;

/// What a call on a connection came to that did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server refused a statement; the connection is well.
    Server(Box<Refusal>),
    /// The connection is lost or unusable.
    Connection(Error),
}

/// What the server said.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) column: Option<String>,
    /// Where it was at, a line for each level.
    pub(crate) context: Option<String>,
    /// The connection ends with it.
    pub(crate) is_fatal: bool,
}

impl Refusal {
    fn of(error: &PgDatabaseError) -> Self {
        use sqlx::postgres::PgSeverity;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Refusal {
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            detail: owned(error.detail()),
            hint: owned(error.hint()),
            column: owned(error.column()),
            context: owned(error.r#where()),
            is_fatal: matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic),
        }
    }

    /// The server's words in one line.
    pub(crate) fn said(&self) -> String {
        let mut said = self.message.clone();
        if let Some(detail) = &self.detail {
            said = format!("{said}: {detail}");
        }
        said
    }

    /// The error for callers: what happened, and what they can do.
    pub(crate) fn explain(&self, doing: &str) -> Error {
        self.as_kind(sqlstate::of(&self.code), doing)
    }

    pub(crate) fn as_kind(&self, kind: ErrorKind, doing: &str) -> Error {
        let advice = match (sqlstate::advice(&self.code), &self.hint) {
            (Some(advice), _) => format!("; {advice}"),
            (None, Some(hint)) => format!("; {hint}"),
            (None, None) => String::new(),
        };
        Error::new(kind, format!("{doing}: {}{advice}", self.said())).with_code(self.code.clone())
    }
}

impl Failure {
    /// Sorts what the driver says.
    pub(crate) fn of(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => Failure::Server(Box::new(Refusal::of(error))),
                None => Failure::Connection(Error::retry(error.to_string()).with_source(error)),
            },
            sqlx::Error::Configuration(_) => {
                Failure::Connection(Error::invalid(format!("the address: {error}")).with_source(error))
            }
            sqlx::Error::Tls(_) => Failure::Connection(
                Error::invalid(format!("TLS: {error}; check sslmode and sslrootcert")).with_source(error),
            ),
            // A certificate does not become another one by waiting.
            sqlx::Error::Io(io) if io.to_string().starts_with("invalid peer certificate") => {
                Failure::Connection(
                    Error::invalid(format!(
                        "TLS: {io}; the server's certificate is not one that sslrootcert (or this system) vouches for, or \
                         not for this host: check sslmode and sslrootcert"
                    ))
                    .with_source(error),
                )
            }
            sqlx::Error::Io(io) => {
                Failure::Connection(Error::retry(format!("the connection failed: {io}")).with_source(error))
            }
            _ => Failure::Connection(
                Error::retry(format!("the connection failed: {error}")).with_source(error),
            ),
        }
    }

    /// The error for callers.
    pub(crate) fn explain(self, doing: &str) -> Error {
        match self {
            Failure::Server(refusal) => refusal.explain(doing),
            Failure::Connection(error) => {
                let kind = error.kind();
                Error::new(kind, format!("{doing}: {error}")).with_source(error)
            }
        }
    }
}
