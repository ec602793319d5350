use std::{sync::Arc, time::Duration};

use sqlx::postgres::PgConnectOptions;
use standpipe_core::{Connect, Error};

use crate::{error::Failure, link::Link, registry::Registry};

/// Makes the connections of a handle.
pub(crate) struct Dial {
    pub(crate) options: PgConnectOptions,
    pub(crate) answer_timeout: Duration,
    /// The server without its password, for messages.
    pub(crate) shown: String,
    pub(crate) registry: Arc<Registry>,
}

impl Dial {
    fn explain(&self, failure: Failure) -> Error {
        if let Failure::Connection(error) = &failure
            && self.options.get_socket().is_none()
            && !self.options.get_host().starts_with('/')
            && is_absent_file(error)
        {
            return Error::invalid(format!(
                "{}: connecting: {error}: sslrootcert, sslcert or sslkey names a file that is not there",
                self.shown
            ));
        }
        failure.explain(&format!("{}: connecting", self.shown))
    }
}

/// No server is reached by a file, where no socket is named.
fn is_absent_file(error: &Error) -> bool {
    use std::error::Error as _;
    let driver = error.source().and_then(|source| source.downcast_ref::<sqlx::Error>());
    matches!(driver, Some(sqlx::Error::Io(io)) if io.kind() == std::io::ErrorKind::NotFound)
}

impl Connect for Dial {
    type Connection = Link;

    async fn connect(&self) -> Result<Link, Error> {
        Link::open(&self.options, &self.registry, self.answer_timeout)
            .await
            .map_err(|failure| self.explain(failure))
    }

    async fn check(&self, link: &mut Link) -> Result<(), Error> {
        self.reset(link).await
    }

    fn is_broken(&self, link: &mut Link) -> bool {
        link.is_broken()
    }

    fn is_clean(&self, link: &mut Link) -> bool {
        !link.in_transaction()
    }

    /// Rolls back what a dropped branch left open. Outside of a transaction the server answers with a warning.
    async fn reset(&self, link: &mut Link) -> Result<(), Error> {
        link.ask("ROLLBACK").await.map_err(|failure| failure.explain("rolling back"))?;
        link.set_in_transaction(false);
        Ok(())
    }

    async fn close(&self, link: Link) {
        link.close().await;
    }
}
