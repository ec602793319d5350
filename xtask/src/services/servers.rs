use std::path::Path;

use super::{
    Unavailable,
    account::Account,
    home::{self, CA, Home, Record},
    pgbouncer::PgBouncer,
    postgres::{Options, Postgres},
    root,
};

/// The superuser's URL of a PostgreSQL, with its password.
pub(super) const POSTGRES: &str = "STANDPIPE_TEST_POSTGRES";
/// The certificate (PEM) of who signed that server's.
const POSTGRES_CA: &str = "STANDPIPE_TEST_POSTGRES_CA";
/// The same server through PgBouncer in transaction mode.
pub(super) const PGBOUNCER: &str = "STANDPIPE_TEST_PGBOUNCER";

/// The name of what a developer runs, of which there is one.
pub(super) const DEVELOPER: &str = "dev";

/// All servers that tests look for.
pub(crate) struct Servers {
    // Dropped in this order: whoever stands before goes first.
    pgbouncer: Option<PgBouncer>,
    postgres: Postgres,
    missing: Vec<Unavailable>,
}

impl Servers {
    /// Starts them under this name, or one like it. PostgreSQL is a must; what else is missing is told by [`Servers::missing`].
    pub(crate) fn start(name: &str) -> Result<Self, Unavailable> {
        Postgres::start(&Options { name, settings: &[] }).map(Servers::before)
    }

    /// Starts those of the developer, unless they run: `None`.
    pub(super) fn start_of_developer() -> Result<Option<Self>, Unavailable> {
        let account = Account::of_servers()?;
        let Some(home) = Home::claim(&root::find(&account)?, DEVELOPER)? else { return Ok(None) };
        let options = Options { name: DEVELOPER, settings: &[] };
        Postgres::start_in(home, account, &options).map(Servers::before).map(Some)
    }

    fn before(postgres: Postgres) -> Self {
        let (pgbouncer, missing) = match PgBouncer::start(&postgres) {
            Ok(server) => (Some(server), Vec::new()),
            Err(why) => (None, vec![why]),
        };
        Servers { pgbouncer, postgres, missing }
    }

    /// The servers that there are none of, and why.
    pub(crate) fn missing(&self) -> &[Unavailable] {
        &self.missing
    }

    /// What tests look for in their environment.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let home = |path: &Path| home::recorded(path).map(|record| variables_of(path, &record));
        let pgbouncer = self.pgbouncer.as_ref().map(PgBouncer::home);
        let homes = [Some(self.postgres.home()), pgbouncer];
        homes.into_iter().flatten().filter_map(|at| home(at.path())).flatten().collect()
    }

    /// The directory of the PostgreSQL.
    pub(crate) fn place(&self) -> &Path {
        self.postgres.home().path()
    }

    /// An error when one of them has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Unavailable> {
        self.postgres.check()?;
        self.pgbouncer.as_mut().map_or(Ok(()), PgBouncer::check)
    }

    /// Lets them go on without us.
    pub(super) fn leave(self) -> Result<(), Unavailable> {
        // Before what it stands before, as with an error here both are stopped.
        if let Some(pgbouncer) = self.pgbouncer {
            pgbouncer.leave()?;
        }
        self.postgres.leave()
    }

    /// Stops them.
    pub(crate) fn stop(self) -> Result<(), Unavailable> {
        let stopped = self.pgbouncer.map_or(Ok(()), PgBouncer::stop);
        self.postgres.stop().and(stopped)
    }
}

/// The variables of one server.
pub(super) fn variables_of(home: &Path, record: &Record) -> Vec<(String, String)> {
    let mut variables = vec![(record.variable.clone(), record.url.clone())];
    if record.variable == POSTGRES {
        variables.push((POSTGRES_CA.to_owned(), home.join(CA).display().to_string()));
    }
    variables
}
