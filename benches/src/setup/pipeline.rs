//! The whole of standpipe as a program has it: a log, a sink and a SQLite file in the workload's directory.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use standpipe_core::{Destination, Mode, StreamId, TableName, Target};
use standpipe_harness::{Context, Outcome, Settings, check};
use standpipe_sink::{Events, Receipt, Sink, Stream, StreamSpec};
use standpipe_sqlite::Sqlite;
use standpipe_wal::Wal;
use tokio::runtime::{Builder, Runtime};

use super::{
    rows::{self, Row},
    settings,
};

/// Threads of the runtime, whatever the machine has.
pub const RUNTIME_THREADS: usize = 2;
/// The table that every pipeline fills.
pub const TABLE: &str = "rows";
/// How long a pipeline may take to apply what it still has.
const CLOSE_WITHIN: Duration = Duration::from_secs(60);

/// What a pipeline is made of.
pub struct Plan {
    /// The sink's settings.
    pub sink: standpipe_sink::Settings,
    /// What a row does to one with the same key.
    pub mode: Mode,
    /// Whether `id` is the table's primary key.
    pub keyed: bool,
    /// Lanes of the stream.
    pub lanes: u32,
    /// Who is told what the sink does.
    pub events: Option<Arc<dyn Events>>,
}

impl Plan {
    /// The crates' defaults, and what was set.
    ///
    /// # Errors
    /// A value that can't be read.
    pub fn new(settings: &Settings) -> Outcome<Self> {
        Plan::over(settings, standpipe_sink::Settings::default())
    }

    /// With settings of the workload's own for the sink, and what was set.
    ///
    /// # Errors
    /// A value that can't be read.
    pub fn over(settings: &Settings, sink: standpipe_sink::Settings) -> Outcome<Self> {
        let mode = settings::mode(settings, Mode::Append)?;
        let lanes = settings::lanes(settings, 1)?;
        let sink = settings::sink_over(settings, sink)?;
        Ok(Plan { sink, mode, keyed: mode != Mode::Append, lanes, events: None })
    }
}

/// A log, a sink, a stream of rows, and a SQLite file, in a runtime of [`RUNTIME_THREADS`] threads.
pub struct Pipeline {
    // Dropped first: the sink's tasks are in the runtime.
    sink: Sink<Wal>,
    stream: Stream,
    database: PathBuf,
    next: AtomicU64,
    runtime: Runtime,
}

impl Pipeline {
    /// Opens it in a directory of its own, with an empty table.
    ///
    /// # Errors
    /// A part can't be opened.
    pub fn open<R: Row>(context: &Context, plan: Plan) -> Outcome<Self> {
        let dir = context.dir("pipeline")?;
        let runtime = Builder::new_multi_thread().worker_threads(RUNTIME_THREADS).enable_all().build()?;
        let (sink, stream) = runtime.block_on(open::<R>(&context.settings, &dir, plan))?;
        Ok(Pipeline { sink, stream, database: dir.join("rows.db"), next: AtomicU64::new(0), runtime })
    }

    /// The sink.
    #[must_use]
    pub fn sink(&self) -> &Sink<Wal> {
        &self.sink
    }

    /// The stream into [`TABLE`].
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The runtime.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Numbers for so many rows that nobody else has.
    pub fn numbers(&self, count: u64) -> u64 {
        self.next.fetch_add(count, Ordering::Relaxed)
    }

    /// Rows that were given numbers so far.
    #[must_use]
    pub fn numbered(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Encodes and writes so many new rows.
    ///
    /// # Errors
    /// The sink's.
    pub async fn write<R: Row>(&self, count: u64) -> Outcome<Receipt> {
        let rows = rows::rows::<R>(self.numbers(count), count);
        Ok(self.sink.write(&self.stream, self.stream.rows(&rows)?).await?)
    }

    /// Applies everything and closes; the table holds each row that was given a number, once.
    ///
    /// # Errors
    /// Something was left, or the table holds something else.
    pub fn finish(self) -> Outcome<()> {
        let rows = self.numbered();
        let table = self.close()?;
        check("rows in the table", table.rows()?, rows)?;
        check("the sum of their ids", table.sum("id")?, rows::sum_below(rows))
    }

    /// Applies everything and closes; what is in the table is for the caller to check.
    ///
    /// # Errors
    /// Something was left, or the table can't be read.
    pub fn close(self) -> Outcome<Table> {
        let closed = self.runtime.block_on(self.sink.close(CLOSE_WITHIN))?;
        check("records left in the log", closed.left_in_log, 0)?;
        Table::open(&self.database)
    }
}

async fn open<R: Row>(settings: &Settings, dir: &Path, plan: Plan) -> Outcome<(Sink<Wal>, Stream)> {
    let schema = R::schema()?;
    let key = if plan.keyed { vec!["id".to_owned()] } else { Vec::new() };
    let database = Sqlite::open(dir.join("rows.db"), settings::sqlite(settings)?).await?;
    database.create(&TableName::new(TABLE), &schema, &key).await?;
    let log = Wal::open(dir.join("log"), settings::wal(settings)?)?;
    let mut builder = Sink::builder().target(database).log(log).settings(plan.sink);
    if let Some(events) = plan.events {
        builder = builder.events(events);
    }
    let sink = builder.open().await?;
    let spec = StreamSpec {
        id: StreamId::new(TABLE)?,
        destination: Destination {
            table: TableName::new(TABLE),
            mode: plan.mode,
            key: if plan.mode == Mode::Append { Vec::new() } else { key },
        },
        schema: Arc::new(schema),
        lanes: Some(plan.lanes),
    };
    let stream = sink.stream(spec).await?;
    Ok((sink, stream))
}

/// A table as another connection sees it.
#[derive(Debug)]
pub struct Table(Connection);

impl Table {
    /// Opens the database to read.
    ///
    /// # Errors
    /// SQLite's.
    pub fn open(database: &Path) -> Outcome<Self> {
        Ok(Table(Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?))
    }

    /// Rows in [`TABLE`].
    ///
    /// # Errors
    /// SQLite's.
    pub fn rows(&self) -> Outcome<u64> {
        self.number(&format!("SELECT count(*) FROM {TABLE}"))
    }

    /// The sum of a column of [`TABLE`].
    ///
    /// # Errors
    /// SQLite's.
    pub fn sum(&self, column: &str) -> Outcome<u64> {
        self.number(&format!("SELECT coalesce(sum({column}), 0) FROM {TABLE}"))
    }

    /// The number that a query gives.
    ///
    /// # Errors
    /// SQLite's, or no number.
    pub fn number(&self, query: &str) -> Outcome<u64> {
        let number: i64 = self.0.query_row(query, [], |row| row.get(0))?;
        Ok(u64::try_from(number)?)
    }
}
