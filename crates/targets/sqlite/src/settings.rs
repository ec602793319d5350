use std::time::Duration;

/// How a database is opened and kept.
///
/// ```
/// use std::time::Duration;
/// use standpipe_sqlite::Settings;
///
/// let settings = Settings { create: false, busy_timeout: Duration::from_secs(60), ..Settings::default() };
/// assert_eq!(settings.ledger_table, "standpipe_ledger");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Make the file if it is absent.
    pub create: bool,
    /// How long to wait for another connection's transaction before giving up with [`Retry`](standpipe_core::ErrorKind::Retry).
    pub busy_timeout: Duration,
    /// What is on disk when a commit returns.
    pub synchronous: Synchronous,
    /// The journal that the file is to have before it is written to.
    pub journal: Journal,
    /// The name of the ledger's table.
    pub ledger_table: String,
}

impl Default for Settings {
    /// Creates the file, waits 10 seconds for a lock, syncs every commit, writes ahead.
    fn default() -> Self {
        Settings {
            create: true,
            busy_timeout: Duration::from_secs(10),
            synchronous: Synchronous::Full,
            journal: Journal::Wal,
            ledger_table: "standpipe_ledger".to_owned(),
        }
    }
}

/// `PRAGMA synchronous` of every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// Commits survive power loss. With a rollback journal and some file systems only [`Extra`](Self::Extra) promises that.
    #[default]
    Full,
    /// As `Full`, and the directory is synced when a rollback journal is removed.
    Extra,
    /// With a write-ahead log: the last commits may be lost by power loss, never a part of one. A sink's log is
    /// truncated below what was committed, so that rows can be lost: the next claim then says [`Gap`](standpipe_core::Error::Gap).
    Normal,
}

impl Synchronous {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Synchronous::Full => "FULL",
            Synchronous::Extra => "EXTRA",
            Synchronous::Normal => "NORMAL",
        }
    }
}

/// The journal of the database file. It is a property of the file and outlives the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Journal {
    /// The file is switched to a write-ahead log before the first write: readers and the writer do not wait for each
    /// other. Where the file system cannot do it, the file keeps the journal it has.
    #[default]
    Wal,
    /// The file keeps the journal it has.
    Keep,
}
