#![expect(deprecated, reason = "the whole crate is marked: its authors have moved on")]

use std::{convert::Infallible, sync::Arc, time::Instant};

use standpipe_harness::Outcome;

use super::{Connection, Hold, Made, Pool, contenders::Dial};

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
    async fn new(made: &Arc<Made>, connections_max: u32) -> Outcome<Self> {
        let config = fastpool::bounded::PoolConfig::new(connections_max as usize);
        Ok(Fastpool(fastpool::bounded::Pool::new(config, Dial(Arc::clone(made)))))
    }

    async fn turn(&self, hold: Hold) -> Outcome<Instant> {
        let mut connection = self.0.get().await?;
        let lent = hold.lent();
        connection.touch();
        hold.work().await;
        Ok(lent)
    }
}
