use std::{
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use standpipe_core::{
    Branch, Claim, ClaimRequest, Column, DeadLetter, Error, Finding, Guarantee, LedgerRow, LetterPage,
    Resolution, Schema, StreamId, TableName, TableShape, Target, Xid, async_trait,
};
use standpipe_pool::{Pool, PoolLease, TokioTimer};

use crate::{
    Address, Settings,
    branch::PostgresBranch,
    dead_letters,
    dial::Dial,
    doctor, holder,
    ledger::{self, Ledger},
    plans::Plans,
    registry::Registry,
    resolve::resolve,
    session::Session,
    table,
};

/// A PostgreSQL database as a target.
///
/// A handle; its clones share their connections, which are made when they are needed. Each branch has a connection of its
/// own. Needs a tokio runtime.
///
/// Cancel safety: a connection on which a call was dropped midway is closed, and the server rolls back what was open on it.
#[derive(Clone)]
pub struct Postgres {
    shared: Arc<Shared>,
}

/// What branches and connections of a handle share.
pub(crate) struct Shared {
    pub(crate) pool: Pool<Dial>,
    pub(crate) settings: Settings,
    pub(crate) ledger: Ledger,
    pub(crate) plans: Plans,
    pub(crate) address: Address,
    registry: Arc<Registry>,
    begin: String,
    untouched: AtomicU64,
    converted: AtomicU64,
}

impl Shared {
    pub(crate) fn count_rows(&self, untouched: bool, rows: u64) {
        let counter = if untouched { &self.untouched } else { &self.converted };
        counter.fetch_add(rows, Ordering::Relaxed);
    }
}

impl Postgres {
    /// Connects once, to say what is wrong before anything is loaded.
    ///
    /// # Errors
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid): authentication, no such database, TLS, a name that is none.
    /// [`Retry`](standpipe_core::ErrorKind::Retry): the server cannot be reached, is starting, or has no connection left.
    pub async fn connect(address: &Address, settings: Settings) -> Result<Self, Error> {
        let target = Self::new(address, settings)?;
        drop(target.lease().await?);
        Ok(target)
    }

    /// A target whose first connection is made when it is needed.
    ///
    /// # Errors
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid) for a ledger's name that is none.
    pub fn new(address: &Address, settings: Settings) -> Result<Self, Error> {
        let registry = Arc::new(Registry::default());
        let dial = Dial {
            address: address.clone(),
            answer_timeout: settings.answer_timeout,
            registry: Arc::clone(&registry),
        };
        let pool = standpipe_pool::Settings {
            connections_max: settings.connections_max,
            connect_timeout: settings.connect_timeout,
            timer: &TokioTimer,
            ..standpipe_pool::Settings::default()
        };
        let shared = Shared {
            pool: Pool::new(dial, pool),
            ledger: Ledger::new(&settings.ledger)?,
            plans: Plans::default(),
            address: address.clone(),
            begin: begin(settings.lock_timeout),
            settings,
            registry,
            untouched: AtomicU64::new(0),
            converted: AtomicU64::new(0),
        };
        Ok(Postgres { shared: Arc::new(shared) })
    }

    /// Rows that went to the server as they were, and rows of which a field had to be converted, since the handle was made.
    #[must_use]
    pub fn rows_untouched_and_converted(&self) -> (u64, u64) {
        (self.shared.untouched.load(Ordering::Relaxed), self.shared.converted.load(Ordering::Relaxed))
    }

    pub(crate) async fn lease(&self) -> Result<PoolLease<Dial>, Error> {
        self.shared.pool.acquire().await
    }

    /// Names who holds the lock that was waited for in vain.
    async fn named<T>(&self, mut outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &mut outcome
            && error.code() == Some("55P03")
        {
            holder::name(&self.shared, error).await;
        }
        outcome
    }
}

/// Opens a transaction. Everything that holds for it is said here, for the transaction alone: a pooler may lend the session
/// to somebody else afterwards. Without `array_nulls` a NULL among a merge's values would be the text NULL. A temporary table that somebody left in a pooled
/// session would take the place of a table of that name, unless temporary ones come last. A role's `synchronous_commit = off` would lose what was reported as committed; deferred
/// constraints would be met at the commit, where no row can be named any more.
fn begin(lock_timeout: Duration) -> String {
    let lock_timeout_ms =
        i32::try_from(lock_timeout.as_millis()).unwrap_or(0).max(i32::from(!lock_timeout.is_zero()));
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = {lock_timeout_ms}; SET LOCAL array_nulls = on; \
         SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true) WHERE current_schema() IS NOT NULL; \
         SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write'); \
         SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT standpipe"
    )
}

#[async_trait]
impl Target for Postgres {
    fn guarantee(&self) -> Guarantee {
        Guarantee::Transactional
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, Error> {
        let claimed = {
            let mut lease = self.lease().await?;
            ledger::claim(&mut lease, &self.shared.ledger, &self.shared.begin, request).await
        };
        self.named(claimed).await
    }

    async fn begin(&self, _claims: &[&Claim], xid: Option<&Xid>) -> Result<Box<dyn Branch>, Error> {
        let session = Session::begin(&self.shared.pool, &self.shared.begin).await?;
        Ok(Box::new(PostgresBranch::new(Arc::clone(&self.shared), session, xid.cloned())))
    }

    async fn resolve(&self, moves: &[(Claim, u64)]) -> Result<Resolution, Error> {
        let resolved = {
            let mut lease = self.lease().await?;
            resolve(&mut lease, &self.shared.ledger, &self.shared.begin, moves).await
        };
        self.named(resolved).await
    }

    async fn ledger(&self, stream: Option<&StreamId>) -> Result<Vec<LedgerRow>, Error> {
        ledger::read(&mut *self.lease().await?, &self.shared.ledger, stream).await
    }

    async fn describe(&self, table: &TableName) -> Result<Option<TableShape>, Error> {
        let found = table::find(&mut *self.lease().await?, table).await?;
        Ok(found.map(|found| found.shape(table)))
    }

    async fn create(&self, table: &TableName, schema: &Schema, key: &[String]) -> Result<(), Error> {
        let created = {
            let mut lease = self.lease().await?;
            table::create(&mut lease, &self.shared.begin, table, schema, key).await
        };
        self.named(created).await
    }

    async fn add_column(&self, table: &TableName, column: &Column) -> Result<(), Error> {
        let added = {
            let mut lease = self.lease().await?;
            table::add_column(&mut lease, &self.shared.begin, table, column).await
        };
        self.named(added).await
    }

    async fn dead_letters(&self, table: &TableName, page: &LetterPage) -> Result<Vec<DeadLetter>, Error> {
        dead_letters::read(&mut *self.lease().await?, table, page).await
    }

    async fn doctor(&self) -> Result<Vec<Finding>, Error> {
        doctor::examine(&mut *self.lease().await?, &self.shared).await
    }

    fn holds_non_finite(&self) -> bool {
        true
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.shared.plans.remarks();
        let (untouched, converted) = self.rows_untouched_and_converted();
        if untouched + converted == 0 {
            return remarks;
        }
        let share = untouched as f64 * 100.0 / (untouched + converted) as f64;
        remarks.push(format!("{share:.0}% of the rows went to the server as they were encoded"));
        remarks
    }

    /// Ends every connection. Branches that are open lose theirs, and the server rolls them back.
    async fn close(&self) -> Result<(), Error> {
        self.shared.registry.close().await;
        // The first poll refuses everyone from now on; leases still out have lost their connection anyway.
        let _ = pin!(self.shared.pool.close()).poll(&mut Context::from_waker(Waker::noop()));
        Ok(())
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("address", &self.shared.address)
            .field("settings", &self.shared.settings)
            .finish()
    }
}
