use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use standpipe_core::{Connect, Error};

use crate::{
    ledger::LedgerSql,
    link::Link,
    registry::Registry,
    settings::Settings,
    worker::{Worker, absolute},
};

/// Which database, and how: what every connection of a handle shares.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) ledger: LedgerSql,
}

impl Place {
    pub(crate) fn new(path: &Path, settings: Settings) -> Result<Self, Error> {
        let ledger = LedgerSql::new(&settings.ledger_table)?;
        Ok(Place { path: absolute(path)?, settings, ledger })
    }
}

/// Makes the connections of a handle.
pub(crate) struct Dial {
    pub(crate) place: Arc<Place>,
    pub(crate) registry: Arc<Registry>,
}

impl Connect for Dial {
    type Connection = Link;

    async fn connect(&self) -> Result<Link, Error> {
        Link::open(&self.place, &self.registry).await
    }

    async fn check(&self, link: &mut Link) -> Result<(), Error> {
        link.run(Worker::check).await
    }

    fn is_broken(&self, link: &mut Link) -> bool {
        link.is_broken()
    }
}
