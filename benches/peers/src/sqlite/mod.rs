//! Rows that are parsed and in memory, into a new table of a new SQLite file: opened, made, filled, committed and
//! closed, with a write-ahead journal and `synchronous = FULL`. Afterwards the file is opened and every column added up.

mod bare;
mod flights;
mod python;
mod standpipe;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use standpipe_harness::{Context, Key, Outcome, Sample, Workload};

use self::flights::Flights;
use crate::{closed_loop::repeat, comparison::Comparison};

const UNIT: &str = "rows/s";

/// Where the Python contenders find their interpreter.
pub(crate) const PYTHON_VENV: Key = Key {
    name: "python.venv",
    says: "a virtual environment with benches/python/requirements.txt installed, for the Python contenders",
};

/// The comparisons of this group.
pub(crate) fn workloads() -> Vec<Workload> {
    Comparison::new(
        "sqlite.flights",
        "rows of flights.csv (19 columns), parsed in memory, into a new table; WAL, synchronous=FULL",
    )
    .with("standpipe", "Sink and Sqlite, exactly once by the ledger, no log", standpipe::unlogged)
    .with("standpipe-log", "the same with the durable log before it", standpipe::logged)
    .with("rusqlite-prepared", "by hand: one transaction, one prepared statement", |context| {
        loads(context, bare::prepared)
    })
    .with("home-autocommit-rows", "execute for each row, a transaction for every 1,000", |context| {
        loads(context, bare::executed)
    })
    .with("python-sqlite3", "executemany of tuples, one transaction", |context| {
        python::run(context, "executemany.py")
    })
    .with("adbc", "adbc_ingest of an Arrow table, one transaction", |context| {
        python::run(context, "adbc_ingest.py")
    })
    .workloads()
}

/// Loads into a new file again and again. `load` does all that counts.
fn loads(context: &Context, mut load: impl FnMut(&Flights, &Path) -> Outcome<()>) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    repeat(context, UNIT, || {
        let place = context.dir("load")?;
        let database = place.join("flights.db");
        let took = timed(|| load(&flights, &database))?;
        flights.check(&database)?;
        fs::remove_dir_all(&place)?;
        Ok((flights.rows.len() as u64, took))
    })
}

fn timed(run: impl FnOnce() -> Outcome<()>) -> Outcome<Duration> {
    let began = Instant::now();
    run()?;
    Ok(began.elapsed())
}
