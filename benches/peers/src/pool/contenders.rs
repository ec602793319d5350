use std::{convert::Infallible, sync::Arc, time::Instant};

use standpipe_core::{Connect, Error};
use standpipe_harness::Outcome;

use super::{Connection, Hold, Made, Pool};

/// Makes connections for all of them.
#[derive(Debug)]
pub(crate) struct Dial(pub(crate) Arc<Made>);

/// Its defaults: a connection is checked after 30 s of idleness, so never here. Its background work runs, as its README says.
#[derive(Clone)]
pub(crate) struct Standpipe(standpipe_pool::Pool<Dial>);

impl Connect for Dial {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection, Error> {
        Ok(Connection::new(&self.0))
    }

    async fn check(&self, _: &mut Connection) -> Result<(), Error> {
        Ok(())
    }

    fn is_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl Pool for Standpipe {
    async fn new(made: &Arc<Made>, connections_max: u32) -> Outcome<Self> {
        let settings = standpipe_pool::Settings {
            connections_max: connections_max as usize,
            ..standpipe_pool::Settings::default()
        };
        let pool = standpipe_pool::Pool::new(Dial(Arc::clone(made)), settings);
        tokio::spawn(pool.run());
        Ok(Standpipe(pool))
    }

    async fn turn(&self, hold: Hold) -> Outcome<Instant> {
        let mut connection = self.0.acquire().await?;
        let lent = hold.lent();
        connection.touch();
        hold.work().await;
        Ok(lent)
    }
}

/// Its defaults: no timeouts, last in first out; `recycle`, which cannot be left out, does nothing.
#[derive(Clone)]
pub(crate) struct Deadpool(deadpool::managed::Pool<Dial>);

impl deadpool::managed::Manager for Dial {
    type Type = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        Ok(Connection::new(&self.0))
    }

    async fn recycle(
        &self,
        _: &mut Connection,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

impl Pool for Deadpool {
    async fn new(made: &Arc<Made>, connections_max: u32) -> Outcome<Self> {
        let builder = deadpool::managed::Pool::builder(Dial(Arc::clone(made)));
        Ok(Deadpool(builder.max_size(connections_max as usize).build()?))
    }

    async fn turn(&self, hold: Hold) -> Outcome<Instant> {
        let mut connection = self.0.get().await.map_err(|error| error.to_string())?;
        let lent = hold.lent();
        connection.touch();
        hold.work().await;
        Ok(lent)
    }
}

/// Its defaults, but for the test at each check-out, which is on by default and which ours does not do either to a
/// connection that was used just now.
#[derive(Clone)]
pub(crate) struct Bb8(bb8::Pool<Dial>);

impl bb8::ManageConnection for Dial {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        Ok(Connection::new(&self.0))
    }

    async fn is_valid(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl Pool for Bb8 {
    async fn new(made: &Arc<Made>, connections_max: u32) -> Outcome<Self> {
        let builder = bb8::Pool::builder().max_size(connections_max).test_on_check_out(false);
        Ok(Bb8(builder.build(Dial(Arc::clone(made))).await?))
    }

    async fn turn(&self, hold: Hold) -> Outcome<Instant> {
        let mut connection = self.0.get().await?;
        let lent = hold.lent();
        connection.touch();
        hold.work().await;
        Ok(lent)
    }
}
