//! A connection as its own thread sees it. Everything here blocks.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use standpipe_core::Error;

use crate::{
    dial::Place,
    error::{code_of, refused},
    identity::{self, Identity},
    plan::Plans,
    settings::Journal,
};

/// Statements that a connection keeps prepared: two a table and shape, and the ledger's.
const STATEMENTS_MAX: usize = 64;
/// How often a switch of the journal is tried again; SQLite does not wait for that by itself.
const SWITCH_RETRY: Duration = Duration::from_millis(10);

/// SQLite counts milliseconds in 32 bits.
const BUSY_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

pub(crate) struct Worker {
    pub(crate) connection: Connection,
    pub(crate) place: Arc<Place>,
    pub(crate) plans: Plans,
    broken: Arc<AtomicBool>,
    writable: bool,
    file: Option<Identity>,
}

impl Worker {
    pub(crate) fn open(place: Arc<Place>, broken: Arc<AtomicBool>) -> Result<Self, Error> {
        let connection = connect(&place)?;
        let file = identity::of(&place.path);
        Ok(Worker { connection, place, plans: Plans::default(), broken, writable: false, file })
    }

    /// Finds out whether the connection still works, and leaves it without a transaction.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        self.roll_back()?;
        let looked = self.connection.query_row("PRAGMA schema_version", [], |_| Ok(()));
        looked.map_err(|error| self.refused(error, "looking at the database"))
    }

    /// Undoes what is open. A connection on which that fails is not used again.
    pub(crate) fn roll_back(&mut self) -> Result<(), Error> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        let ended = self.connection.execute_batch("ROLLBACK");
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.broken.store(true, Ordering::Release);
        ended.map_err(|error| self.refused(error, "rolling back"))
    }

    /// Makes sure that the path still leads to the open file, which can be written to and has the journal it is to have.
    /// What is written to a file that was moved or deleted would be acknowledged and lost.
    pub(crate) fn prepare_to_write(&mut self) -> Result<(), Error> {
        if identity::of(&self.place.path) != self.file {
            self.mark_broken();
            let path = self.place.path.display();
            return Err(Error::retry(format!(
                "{path}: the database file was moved, deleted or replaced while it was open; the next call opens what \
                 is there now"
            )));
        }
        if self.writable {
            return Ok(());
        }
        let path = self.place.path.display();
        if self.connection.is_readonly("main").unwrap_or(false) {
            return Err(Error::invalid(format!(
                "{path}: the database is read-only; give this user the right to write to the file and its directory"
            )));
        }
        if self.place.settings.journal == Journal::Wal {
            self.switch_to_wal()?;
        }
        self.writable = true;
        Ok(())
    }

    fn switch_to_wal(&self) -> Result<(), Error> {
        let journal: String = self
            .connection
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .map_err(|error| self.refused(error, "reading the journal mode"))?;
        if journal.eq_ignore_ascii_case("wal") {
            return Ok(());
        }
        let started = Instant::now();
        loop {
            // A file system without shared memory answers with the journal that stays: slower, and as safe.
            match self.connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())) {
                Ok(()) => return Ok(()),
                Err(error)
                    if code_of(&error) == Some(ErrorCode::DatabaseBusy)
                        && started.elapsed() < self.place.settings.busy_timeout =>
                {
                    thread::sleep(SWITCH_RETRY);
                }
                Err(error) => return Err(self.refused(error, "switching to a write-ahead log")),
            }
        }
    }

    /// Opens a branch's transaction, taking the write lock at once.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        self.roll_back()?;
        self.prepare_to_write()?;
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        begun.map_err(|error| self.refused(error, "opening a transaction"))
    }

    /// Runs `work` in a transaction of its own that holds the write lock, and commits when it returns a value.
    pub(crate) fn transaction<T>(
        &mut self,
        doing: &str,
        work: impl FnOnce(&Transaction<'_>, &Place) -> Result<Option<T>, WorkError>,
    ) -> Result<Option<T>, Error> {
        self.roll_back()?;
        self.prepare_to_write()?;
        let place = Arc::clone(&self.place);
        let outcome = || -> Result<Option<T>, WorkError> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction, &place)?;
            if value.is_some() {
                transaction.commit()?;
            }
            Ok(value)
        }();
        outcome.map_err(|error| self.explain(error, doing))
    }

    pub(crate) fn explain(&self, error: WorkError, doing: &str) -> Error {
        match error {
            WorkError::Sqlite(error) => self.refused(error, doing),
            WorkError::Other(error) => error,
        }
    }

    /// The error of a statement, for callers. A connection that met damage or a failing disk is not used again.
    pub(crate) fn refused(&self, error: rusqlite::Error, doing: &str) -> Error {
        let lasting = [ErrorCode::SystemIoFailure, ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
        if code_of(&error).is_some_and(|code| lasting.contains(&code)) {
            self.mark_broken();
        }
        refused(&self.place.path, &self.place.settings, error, doing)
    }

    pub(crate) fn mark_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }
}

/// Why a piece of work did not succeed: SQLite's answer, not yet explained, or ours.
pub(crate) enum WorkError {
    Sqlite(rusqlite::Error),
    Other(Error),
}

impl From<rusqlite::Error> for WorkError {
    fn from(error: rusqlite::Error) -> Self {
        WorkError::Sqlite(error)
    }
}

impl From<Error> for WorkError {
    fn from(error: Error) -> Self {
        WorkError::Other(error)
    }
}

/// The path that all connections use, whatever becomes of the process's directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
        return Err(Error::invalid("a SQLite target is a file; what is only in memory keeps no promise"));
    }
    std::path::absolute(path)
        .map_err(|error| Error::invalid(format!("{}: no usable path", path.display())).with_source(error))
}

fn connect(place: &Place) -> Result<Connection, Error> {
    let (path, settings) = (&place.path, &place.settings);
    look_at(path, settings.create)?;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if settings.create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(settings.busy_timeout.min(BUSY_TIMEOUT_MAX))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.execute_batch(&format!("PRAGMA synchronous = {}", settings.synchronous.name()))?;
        // The first look at the file itself: what is no database is refused here, not in the middle of a load.
        connection.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
        Ok(connection)
    });
    opened.map_err(|error| refused(path, settings, error, "opening the database"))
}

/// SQLite says "unable to open database file" to all of these.
pub(crate) fn look_at(path: &Path, create: bool) -> Result<(), Error> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            Err(Error::invalid(format!("{shown} is a directory, not a database file")))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let parent = path.parent().unwrap_or(path);
            if !parent.is_dir() {
                return Err(Error::invalid(format!(
                    "{shown}: there is no directory {}; make it first",
                    parent.display()
                )));
            }
            if create {
                return Ok(());
            }
            Err(Error::invalid(format!("{shown}: there is no such database file")))
        }
        Err(error) => Err(Error::invalid(format!("{shown}: {error}")).with_source(error)),
    }
}
