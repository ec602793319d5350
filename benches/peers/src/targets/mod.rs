//! PostgreSQL: the flights data into a table of a server on this machine, client and server on the same cores. A sample has a database
//! of its own and makes its table anew for each load; the table, its check, and a CHECKPOINT before each load are outside of the
//! clock. Nobody encrypts. What both sides used of the processors is told beside each figure.

mod adbc;
mod append;
mod bad;
mod clock;
mod command;
mod data;
mod far;
mod foreign;
mod latency;
mod latency_limit;
mod load;
mod ours;
mod proxy;
mod server;
mod socket;
mod streams;
mod upsert;

use standpipe_harness::{Key, Workload};

/// Where the server is.
pub(crate) const POSTGRES_URL: Key = Key {
    name: "postgres.url",
    says: "a superuser's URL of a PostgreSQL on this machine, which nobody else uses: postgres://USER:PASSWORD@HOST:PORT/postgres",
};

/// The command that is measured as a whole.
pub(crate) const LOAD_COMMAND: Key =
    Key { name: "standpipe.command", says: "the `standpipe` command, built with --release" };

/// PostgreSQL's own client.
pub(crate) const PSQL: Key = Key { name: "postgres.psql", says: "psql, where it is not in the PATH" };

/// What this group is told on the command line.
pub(crate) const KEYS: [Key; 3] = [POSTGRES_URL, LOAD_COMMAND, PSQL];

/// The comparisons of this group.
pub(crate) fn workloads() -> Vec<Workload> {
    [
        append::workloads(),
        command::workloads(),
        upsert::workloads(),
        bad::workloads(),
        streams::workloads(),
        latency::workloads(),
        far::workloads(),
    ]
    .concat()
}
