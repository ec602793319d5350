use std::time::Duration;

use standpipe_core::TableName;

/// How a server is used. Plain data with defaults that are right.
///
/// ```
/// use std::time::Duration;
/// use standpipe_core::TableName;
/// use standpipe_postgres::Settings;
///
/// let ledger = TableName { schema: Some("ops".into()), name: "standpipe_ledger".into() };
/// let settings = Settings { ledger, lock_timeout: Duration::from_secs(60), ..Settings::default() };
/// assert_eq!(settings.connections_max, 8);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most connections at any time: one for each branch that is open, and one for everything else.
    pub connections_max: usize,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a statement waits for somebody else's lock (`lock_timeout`) before it gives up with
    /// [`Retry`](standpipe_core::ErrorKind::Retry), which names the holder.
    pub lock_timeout: Duration,
    /// How long one answer of the server may take, locks included, before the connection counts as lost. Longer than the
    /// largest batch takes. [`Duration::MAX`] means for ever.
    pub answer_timeout: Duration,
    /// The ledger's table. Without a schema it is where the role's `search_path` puts new tables.
    pub ledger: TableName,
    /// Batches of upsert, replace and ignore with at most so many rows (and 1 MiB) go to the server as arrays, larger ones
    /// through a temporary table. Measured: `docs/decisions/0012-postgres-driver-and-merge.md`.
    pub unnest_rows_max: u32,
}

impl Default for Settings {
    /// 8 connections, 10 s to connect and for locks, 5 minutes for an answer.
    fn default() -> Self {
        Settings {
            connections_max: 8,
            connect_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(300),
            ledger: TableName::new("standpipe_ledger"),
            unnest_rows_max: 128,
        }
    }
}
