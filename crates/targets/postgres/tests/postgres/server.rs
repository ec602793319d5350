//! A database of one's own on the server of the tests.

use std::{
    env, fs,
    io::Write,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, ValueRef};
use standpipe_postgres::{Address, Postgres, Settings};

/// A database that is dropped at the end.
pub(crate) struct Database {
    /// Of the superuser, for the server's own database.
    server: String,
    pub(crate) url: String,
    pub(crate) name: String,
    /// What the test itself asks goes over this one.
    own: tokio::sync::Mutex<PgConnection>,
}

impl Database {
    /// `None`, said loudly and counted, where there is no server.
    pub(crate) async fn new(test: &str) -> Option<Self> {
        let Ok(server) = env::var("STANDPIPE_TEST_POSTGRES") else {
            skipped(test, "no PostgreSQL server (STANDPIPE_TEST_POSTGRES)");
            return None;
        };
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&server).await.unwrap();
        run(&mut connection, &format!("CREATE DATABASE {name}")).await;
        let url = in_database(&server, &name);
        let own = tokio::sync::Mutex::new(PgConnection::connect(&url).await.unwrap());
        Some(Database { server, url, name, own })
    }

    pub(crate) async fn open(&self) -> Postgres {
        self.open_with(Settings::default()).await
    }

    pub(crate) async fn open_with(&self, settings: Settings) -> Postgres {
        Postgres::connect(&self.url.parse::<Address>().unwrap(), settings).await.unwrap()
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Runs statements, each of which must succeed.
    pub(crate) async fn run(&self, sql: &str) {
        run(&mut *self.own.lock().await, sql).await;
    }

    /// The rows of a query, as the server's own text.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let mut connection = self.own.lock().await;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection).await.unwrap();
        let text = |row: &sqlx::postgres::PgRow, column| {
            let value = row.try_get_raw(column).unwrap();
            (!value.is_null()).then(|| value.as_str().unwrap().to_owned())
        };
        rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect()
    }

    /// The one value of a query.
    pub(crate) async fn value(&self, sql: &str) -> String {
        self.rows(sql).await[0][0].clone().unwrap_or_else(|| "NULL".to_owned())
    }

    /// Drops the database, with whoever is still connected to it.
    pub(crate) async fn end(self) {
        let mut connection = PgConnection::connect(&self.server).await.unwrap();
        run(&mut connection, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

pub(crate) async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The same server, another database.
pub(crate) fn in_database(url: &str, name: &str) -> String {
    let (before, _) = url.rsplit_once('/').unwrap();
    format!("{before}/{name}")
}

/// Says that a test was not run, and counts it.
pub(crate) fn skipped(test: &str, why: &str) {
    eprintln!(
        "skipped: {test}: {why}: run `cargo xtask test`, or `eval \"$(cargo xtask services env)\"` first"
    );
    if let Ok(path) = env::var("STANDPIPE_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}
