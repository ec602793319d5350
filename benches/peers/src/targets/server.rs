use std::{fs, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::SinkExt;
use standpipe_harness::{Context, Outcome, check};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use super::{POSTGRES_URL, clock};

/// A database of the sample's own on the server that it was given. Gone when it is done.
pub(crate) struct Server {
    base: String,
    name: String,
    admin: Client,
    inside: Client,
    runtime: Runtime,
}

/// The server's processes.
#[derive(Clone, Copy)]
pub(crate) struct Processes {
    postmaster: u32,
}

impl Server {
    /// Makes the database.
    pub(crate) fn of(context: &Context) -> Outcome<Self> {
        let url = context.settings.text(POSTGRES_URL.name).ok_or_else(|| {
            format!(
                "it needs a server: --set {}=postgres://USER:PASSWORD@HOST:PORT/postgres",
                POSTGRES_URL.name
            )
        })?;
        let (base, _) = url.rsplit_once('/').ok_or("a URL ends with the database's name")?;
        let base = base.to_owned();
        // Encryption is the same work for everybody, and not everybody is able to: nobody does it.
        let runtime = crate::closed_loop::runtime_with_io()?;
        let name = format!("standpipe_peers_{}", std::process::id());
        let admin = runtime.block_on(connect(&format!("{base}/postgres?sslmode=disable")))?;
        runtime.block_on(admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")))?;
        runtime.block_on(admin.batch_execute(&format!("CREATE DATABASE {name}")))?;
        let inside = runtime.block_on(connect(&format!("{base}/{name}?sslmode=disable")))?;
        Ok(Server { base, name, admin, inside, runtime })
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The database's.
    pub(crate) fn url(&self) -> String {
        format!("{}/{}?sslmode=disable", self.base, self.name)
    }

    /// The database's, through another port.
    pub(crate) fn url_by_port(&self, port: u16) -> Outcome<String> {
        let (before, _) = self.base.rsplit_once(':').ok_or("a URL with a port")?;
        Ok(format!("{before}:{port}/{}?sslmode=disable", self.name))
    }

    /// Host and port.
    pub(crate) fn place(&self) -> Outcome<&str> {
        Ok(self.base.rsplit_once('@').ok_or("a URL with a user")?.1)
    }

    /// An empty schema with these tables, and no checkpoint due: what was written before is on disk.
    pub(crate) fn fresh(&self, tables: &str) -> Outcome<()> {
        self.run(&format!("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; {tables}"))?;
        self.run("CHECKPOINT")
    }

    pub(crate) fn run(&self, sql: &str) -> Outcome<()> {
        self.runtime.block_on(self.inside.batch_execute(sql)).map_err(|error| {
            // The error by itself says no more than that there is one.
            let why = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
            format!("{sql}: {why}").into()
        })
    }

    /// Puts rows into the table, a whole COPY BINARY.
    pub(crate) fn copy(&self, rows: &Bytes) -> Outcome<()> {
        self.runtime.block_on(async {
            let copy = self.inside.copy_in::<_, Bytes>("COPY flights FROM STDIN (FORMAT binary)");
            let mut copy = pin!(copy.await?);
            copy.send(rows.clone()).await?;
            copy.finish().await?;
            Ok(())
        })
    }

    /// Refuses a query's one number if it is another.
    pub(crate) fn check(&self, what: &str, query: &str, expected: u64) -> Outcome<()> {
        let row = self.runtime.block_on(self.inside.query_one(query, &[]))?;
        let found: i64 = row.try_get(0)?;
        check(what, u64::try_from(found)?, expected)
    }

    /// Waits until nobody but us is connected to the database: what was left behind costs the server something.
    pub(crate) fn alone(&self) -> Outcome<()> {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        for _ in 0..500 {
            let row = self.runtime.block_on(self.inside.query_one(query, &[]))?;
            if row.try_get::<_, i64>(0)? == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err("somebody stays connected to the database".into())
    }

    pub(crate) fn processes(&self) -> Outcome<Processes> {
        let row = self.runtime.block_on(self.inside.query_one("SELECT pg_backend_pid()", &[]))?;
        let backend: i32 = row.try_get(0)?;
        let stat = fs::read_to_string(format!("/proc/{backend}/stat")).map_err(|error| {
            format!("the server's process {backend}: {error}; it has to run on this machine")
        })?;
        Ok(Processes { postmaster: parent(&stat).ok_or("a process without a parent")? })
    }

    /// Takes the database away.
    pub(crate) fn end(self) -> Outcome<()> {
        let Server { name, admin, inside, runtime, .. } = self;
        drop(inside);
        Ok(runtime.block_on(admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")))?)
    }
}

/// A connection, whose other half runs in the runtime.
pub(crate) async fn connect(url: &str) -> Outcome<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

impl Processes {
    /// What all of them have used so far, those that have ended included.
    pub(crate) fn cpu(self) -> Outcome<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.postmaster))?;
        let mut all = clock::ticks(&stat, 13..17)?;
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            if parent(&stat) == Some(self.postmaster) {
                all += exact(pid).map_or_else(|| clock::ticks(&stat, 13..15), Ok)?;
            }
        }
        Ok(all)
    }
}

fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// To the nanosecond, where the system tells it.
fn exact(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
