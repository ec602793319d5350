use std::{
    fmt,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use standpipe_core::{
    Branch, Claim, ClaimRequest, Column, DeadLetter, Error, Finding, Guarantee, LedgerRow, LetterPage,
    Resolution, Schema, StreamId, TableName, TableShape, Target, Xid, async_trait,
};
use standpipe_pool::Pool;

use crate::{
    branch::SqliteBranch,
    dead_letters,
    dial::{Dial, Place},
    doctor, ledger,
    registry::Registry,
    reply::reply,
    resolve::resolve,
    session::Session,
    settings::Settings,
    table,
    turn::writer_within,
    worker::Worker,
};

/// Connections that read, beside the one that writes.
const READERS_MAX: usize = 4;

/// A SQLite database file as a target.
///
/// A handle; its clones share their connections. Each connection lives on a thread of its own: no call here blocks its
/// caller's thread, and no runtime is needed. One connection writes: branches, claims and changes of tables wait for it
/// in the order in which they were asked for; a branch as long as it takes, everything else no longer than
/// [`busy_timeout`](Settings::busy_timeout). Reading has connections of its own.
///
/// Cancel safety: what was sent to a connection runs to its end. A dropped future leaves no transaction open.
#[derive(Clone)]
pub struct Sqlite {
    writer: Pool<Dial>,
    readers: Pool<Dial>,
    place: Arc<Place>,
    registry: Arc<Registry>,
}

impl Sqlite {
    /// Opens the database of this path, which all later connections use even if the process changes its directory.
    /// The file gets the journal of the settings before the first write, not here.
    ///
    /// # Errors
    /// [`Invalid`](standpipe_core::ErrorKind::Invalid): the directory is missing, the file is missing and not to be
    /// made, no database, or not to be opened by this user. [`Corrupt`](standpipe_core::ErrorKind::Corrupt).
    /// [`Retry`](standpipe_core::ErrorKind::Retry) when somebody locks the whole file for longer than the timeout.
    pub async fn open(path: impl AsRef<Path>, settings: Settings) -> Result<Self, Error> {
        let place = Arc::new(Place::new(path.as_ref(), settings)?);
        let registry = Arc::new(Registry::default());
        let pool = |connections_max| {
            let dial = Dial { place: Arc::clone(&place), registry: Arc::clone(&registry) };
            // A file goes nowhere: connections are not renewed for their age. How long to wait for a turn is said by who
            // waits, and SQLite has its own patience with a locked file.
            let settings = standpipe_pool::Settings {
                connections_max,
                acquire_timeout: Duration::MAX,
                connect_timeout: Duration::MAX,
                check_timeout: Duration::MAX,
                idle_max: Duration::MAX,
                life_max: Duration::MAX,
                ..standpipe_pool::Settings::default()
            };
            Pool::new(dial, settings)
        };
        let (writer, readers) = (pool(1), pool(READERS_MAX));
        drop(readers.acquire().await?);
        Ok(Sqlite { writer, readers, place, registry })
    }

    /// The database file's absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// What the settings and the file at `path` mean for what is promised, also where it cannot be opened. Makes no file
    /// and changes none.
    ///
    /// # Errors
    /// The path is none, or no thread could be started.
    pub async fn examine(path: impl AsRef<Path>, settings: Settings) -> Result<Vec<Finding>, Error> {
        let place = Place::new(path.as_ref(), settings)?;
        let (answer, findings) = reply();
        thread::Builder::new()
            .name("standpipe-sqlite-doctor".to_owned())
            .spawn(move || answer.send(doctor::examine(&place)))
            .map_err(|error| {
                Error::retry("no thread could be started to look at the database").with_source(error)
            })?;
        findings.await.ok_or_else(|| Error::retry("the thread that looked at the database ended early"))
    }

    pub(crate) async fn session(&self) -> Result<Session, Error> {
        Session::begin(&self.writer).await
    }

    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Worker) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let lease = self.readers.acquire().await?;
        lease.run(job).await
    }

    /// In a transaction of its own, in its turn.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Worker) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let lease = writer_within(&self.writer, self.place.settings.busy_timeout).await?;
        lease.run(job).await
    }
}

#[async_trait]
impl Target for Sqlite {
    fn guarantee(&self) -> Guarantee {
        Guarantee::Transactional
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, Error> {
        let request = request.clone();
        self.write(move |worker| ledger::claim(worker, &request)).await
    }

    async fn begin(&self, _claims: &[&Claim], xid: Option<&Xid>) -> Result<Box<dyn Branch>, Error> {
        if xid.is_some() {
            return Err(Error::invalid("SQLite takes no part in two-phase commit"));
        }
        Ok(Box::new(SqliteBranch::new(self.session().await?)))
    }

    async fn resolve(&self, moves: &[(Claim, u64)]) -> Result<Resolution, Error> {
        let moves = moves.to_vec();
        self.write(move |worker| resolve(worker, &moves)).await
    }

    async fn ledger(&self, stream: Option<&StreamId>) -> Result<Vec<LedgerRow>, Error> {
        let stream = stream.cloned();
        let read = move |worker: &mut Worker| {
            let rows = ledger::read(&worker.connection, &worker.place.ledger, stream.as_ref());
            rows.map_err(|error| worker.explain(error, "reading the ledger"))
        };
        self.read(read).await
    }

    async fn describe(&self, table: &TableName) -> Result<Option<TableShape>, Error> {
        let table = table.clone();
        self.read(move |worker| table::describe(worker, &table)).await
    }

    async fn create(&self, table: &TableName, schema: &Schema, key: &[String]) -> Result<(), Error> {
        let (table, schema, key) = (table.clone(), schema.clone(), key.to_vec());
        self.write(move |worker| table::create(worker, &table, &schema, &key)).await
    }

    async fn add_column(&self, table: &TableName, column: &Column) -> Result<(), Error> {
        let (table, column) = (table.clone(), column.clone());
        self.write(move |worker| table::add_column(worker, &table, &column)).await
    }

    async fn dead_letters(&self, table: &TableName, page: &LetterPage) -> Result<Vec<DeadLetter>, Error> {
        let (table, page) = (table.clone(), page.clone());
        self.read(move |worker| dead_letters::read(worker, &table, &page)).await
    }

    async fn doctor(&self) -> Result<Vec<Finding>, Error> {
        self.read(|worker| Ok(doctor::examine_from(worker))).await
    }

    /// Ends every connection behind the job that it is at, and returns when the file is closed. Branches that are open
    /// are rolled back, whoever holds them.
    async fn close(&self) -> Result<(), Error> {
        let closed = self.registry.close();
        for pool in [&self.writer, &self.readers] {
            // The first poll refuses everyone from now on; leases still out have lost their connection anyway.
            let _ = pin!(pool.close()).poll(&mut Context::from_waker(Waker::noop()));
        }
        closed.await;
        Ok(())
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.place.path)
            .field("settings", &self.place.settings)
            .finish()
    }
}
