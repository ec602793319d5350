use bytes::Bytes;
use standpipe::core::Block;
use standpipe_harness::{Context, Outcome, Sample, Scale, Workload};

use super::{
    data::{Flights, columns_of, rows_of},
    foreign,
    load::repeat,
    ours::{self, Ledger, Place},
    server::Server,
};
use crate::comparison::Comparison;

/// Keys are spread over so many numbers; each row has its own.
const ROWS: usize = 100_000;
/// Batch sizes at which arrays within the statement are held against the temporary table.
const MERGES: [usize; 6] = [16, 64, 256, 1_024, 4_096, 10_000];

pub(crate) fn workloads() -> Vec<Workload> {
    let work =
        "flights behind an id (20 columns, primary key), 10,000 rows a transaction, every other key present";
    let mut all = Comparison::new("targets.upsert.10k", work)
        .with("standpipe", "Sink and Postgres, upsert, exactly once by the ledger, no log", sink)
        .with("standpipe-branch", "Postgres alone, a branch after the other", |context| {
            branch(context, 10_000, None)
        })
        .with(
            "home-staging",
            "tokio-postgres, COPY BINARY into a temporary table, INSERT .. ON CONFLICT",
            staging,
        )
        .with("home-unnest", "tokio-postgres, unnest of binary arrays, ON CONFLICT", unnest)
        .workloads();
    for rows in MERGES {
        let work =
            format!("upsert of flights behind an id, {rows} rows a transaction, every other key present");
        let merge = Comparison::new(&format!("targets.merge.{rows}"), &work)
            .with("standpipe", "a branch after the other, as the settings choose", move |context| {
                branch(context, rows, None)
            })
            .with("standpipe-arrays", "the same, always arrays within the statement", move |context| {
                branch(context, rows, Some(u32::MAX))
            })
            .with("standpipe-stage", "the same, always by a temporary table", move |context| {
                branch(context, rows, Some(0))
            });
        all.extend(merge.workloads());
    }
    all
}

/// Rows, of which every other one is there already in an older version.
pub(super) struct Upserts {
    pub(super) flights: Flights,
    /// The older version of every other row.
    present: Bytes,
}

impl Upserts {
    pub(super) fn read(context: &Context, rows: usize) -> Outcome<Self> {
        let flights = Flights::with_ids(context, if context.scale == Scale::Once { 2_000 } else { rows })?;
        let present = flights.every_other()?;
        Ok(Upserts { flights, present })
    }

    /// The table, and what is in it.
    pub(super) fn tables(&self) -> String {
        self.flights.create("flights", ", PRIMARY KEY (id)")
    }

    /// Puts the older rows in.
    pub(super) fn fill(&self, server: &Server) -> Outcome<()> {
        server.copy(&self.present)?;
        server.run("VACUUM ANALYZE flights")?;
        server.run("CHECKPOINT")
    }
}

const SET: &str = "ON CONFLICT (id) DO UPDATE SET year = excluded.year, month = excluded.month, day = excluded.day, \
                   dep_time = excluded.dep_time, sched_dep_time = excluded.sched_dep_time, dep_delay = excluded.dep_delay, \
                   arr_time = excluded.arr_time, sched_arr_time = excluded.sched_arr_time, arr_delay = excluded.arr_delay, \
                   carrier = excluded.carrier, flight = excluded.flight, tailnum = excluded.tailnum, origin = excluded.origin, \
                   dest = excluded.dest, air_time = excluded.air_time, distance = excluded.distance, hour = excluded.hour, \
                   minute = excluded.minute, time_hour = excluded.time_hour";

fn sink(context: &Context) -> Outcome<Sample> {
    let upserts = Upserts::read(context, ROWS)?;
    repeat(context, &upserts.tables(), |server, clock| {
        upserts.fill(server)?;
        let place = Place::upsert(server.url(), "flights");
        let batches = upserts.flights.batches(10_000);
        server.runtime().block_on(ours::sink(&place, batches, ours::settings(10_000), clock))
    })
}

/// So many rows a branch, with the settings' choice or another one.
fn branch(context: &Context, rows: usize, unnest_rows_max: Option<u32>) -> Outcome<Sample> {
    // Small batches are slow.
    let count = if rows < 1_000 { rows * 200 } else { ROWS };
    let upserts = Upserts::read(context, count.min(ROWS))?;
    let cut = upserts.flights.cut(rows)?;
    repeat(context, &upserts.tables(), |server, clock| {
        upserts.fill(server)?;
        let mut place = Place::upsert(server.url(), "flights");
        if let Some(most) = unnest_rows_max {
            place.settings.unnest_rows_max = most;
        }
        let batches = cut.iter().map(std::slice::from_ref::<Block>);
        server.runtime().block_on(ours::branches(&place, batches, Ledger::Kept, clock))
    })
}

fn staging(context: &Context) -> Outcome<Sample> {
    let upserts = Upserts::read(context, ROWS)?;
    let copies = upserts.flights.copies(10_000);
    repeat(context, &upserts.tables(), |server, clock| {
        upserts.fill(server)?;
        server.runtime().block_on(foreign::staging(&server.url(), &copies, SET, clock))?;
        Ok(rows_of(&upserts.flights.blocks))
    })
}

fn unnest(context: &Context) -> Outcome<Sample> {
    let upserts = Upserts::read(context, ROWS)?;
    let batches: Vec<_> = upserts.flights.batches(10_000).map(columns_of).collect::<Outcome<_>>()?;
    repeat(context, &upserts.tables(), |server, clock| {
        upserts.fill(server)?;
        server.runtime().block_on(foreign::unnest(&server.url(), &batches, SET, clock))?;
        Ok(rows_of(&upserts.flights.blocks))
    })
}
