use std::{sync::Arc, time::Duration};

use standpipe_core::{Connect, Error};

use crate::{address::Address, error::Failure, link::Link, registry::Registry};

/// Makes the connections of a handle.
pub(crate) struct Dial {
    pub(crate) address: Address,
    pub(crate) answer_timeout: Duration,
    pub(crate) registry: Arc<Registry>,
}

impl Dial {
    fn explain(&self, failure: Failure) -> Error {
        failure.explain(&format!("{}: connecting", self.address))
    }
}

impl Connect for Dial {
    type Connection = Link;

    async fn connect(&self) -> Result<Link, Error> {
        Link::open(&self.address, &self.registry, self.answer_timeout)
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
