#![expect(deprecated, reason = "the whole crate is marked: its authors have moved on")]

use std::{convert::Infallible, sync::Arc};

use standpipe_harness::Outcome;

use super::{CONNECTIONS_MAX, Connection, Made, Pool, contenders::Dial};

/// Its defaults; `is_recyclable`, which cannot be left out, does nothing. Its README names `asyncband::pool` as the
/// maintained successor.
#[derive(Clone)]
pub(crate) struct Fastpool(Arc<fastpool::bounded::Pool<Dial>>);

impl fastpool::ManageObject for Dial {
    type Object = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        Ok(Connection::new(&self.0))
    }

    async fn is_recyclable(&self, _: &mut Connection, _: &fastpool::ObjectStatus) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Pool for Fastpool {
    async fn new(made: &Arc<Made>) -> Outcome<Self> {
        let config = fastpool::bounded::PoolConfig::new(CONNECTIONS_MAX as usize);
        Ok(Fastpool(fastpool::bounded::Pool::new(config, Dial(Arc::clone(made)))))
    }

    async fn turn(&self, yields: bool) -> Outcome<()> {
        let mut connection = self.0.get().await?;
        connection.touch();
        if yields {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
