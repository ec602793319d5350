use standpipe::Settings;
use standpipe_harness::{Context, Outcome, Sample, Workload};

use super::{
    adbc,
    data::{Flights, columns_of},
    foreign,
    load::repeat,
    ours::{self, Ledger, Place},
    socket,
};
use crate::comparison::Comparison;

/// Rows for those who take much longer: the rate is the same.
const FEWER_ROWS: usize = 60_000;

pub(crate) fn workloads() -> Vec<Workload> {
    [comparison("10k", 10_000), comparison("1k", 1_000), ingest()].concat()
}

/// As each is out of the box.
fn ingest() -> Vec<Workload> {
    let work = "flights (19 columns) from memory into a new table, as each does it by default";
    Comparison::new("targets.ingest", work)
        .with(
            "standpipe",
            "Sink and Postgres with their default batches: exactly once by the ledger, no log",
            |context| {
                let flights = Flights::read(context)?;
                repeat(context, &flights.create("flights", ""), |server, clock| {
                    let place = Place::append(server.url(), "flights");
                    server.runtime().block_on(ours::sink(
                        &place,
                        flights.batches(10_000),
                        Settings::default(),
                        clock,
                    ))
                })
            },
        )
        .with("adbc", "adbc_ingest of an Arrow table in Python, one transaction", adbc::run)
        .workloads()
}

fn comparison(name: &str, rows: usize) -> Vec<Workload> {
    let work =
        format!("flights (19 columns), encoded in memory, into a new table, {rows} rows a transaction");
    let all = Comparison::new(&format!("targets.append.{name}"), &work)
        .with(
            "standpipe",
            "Sink and Postgres, write_at: exactly once by the ledger, no log",
            move |context| sink(context, rows),
        )
        .with(
            "standpipe-branch",
            "Postgres alone, a branch after the other: begin, write, advance, commit",
            move |context| branch(context, rows, Ledger::Kept),
        )
        .with(
            "standpipe-unfenced",
            "the same without the ledger: neither exactly once nor fenced",
            move |context| branch(context, rows, Ledger::LeftOut),
        )
        .with("standpipe-log", "Sink and Postgres with the durable log before it", move |context| {
            logged(context, rows)
        })
        .with("tokio-postgres-copy", "COPY BINARY of bytes that are ready", move |context| {
            tokio_postgres_copy(context, rows)
        })
        .with("sqlx-copy", "COPY BINARY of bytes that are ready", move |context| sqlx_copy(context, rows));
    if rows < 10_000 {
        return all.workloads();
    }
    all.with(
        "limit-socket",
        "COPY BINARY of bytes that are ready, by a blocking socket, nothing but the protocol",
        move |context| socket(context, rows),
    )
    .with("home-unnest", "tokio-postgres, INSERT .. SELECT FROM unnest of binary arrays", move |context| {
        unnest(context, rows)
    })
    .with("home-values", "tokio-postgres, INSERT .. VALUES of 1,000 rows, prepared", move |context| {
        values(context, rows)
    })
    .workloads()
}

fn sink(context: &Context, rows: usize) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    repeat(context, &flights.create("flights", ""), |server, clock| {
        let place = Place::append(server.url(), "flights");
        server.runtime().block_on(ours::sink(&place, flights.batches(rows), ours::settings(rows), clock))
    })
}

fn branch(context: &Context, rows: usize, ledger: Ledger) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    repeat(context, &flights.create("flights", ""), |server, clock| {
        let place = Place::append(server.url(), "flights");
        server.runtime().block_on(ours::branches(&place, flights.batches(rows), ledger, clock))
    })
}

fn logged(context: &Context, rows: usize) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let mut number = 0;
    repeat(context, &flights.create("flights", ""), |server, clock| {
        let place = Place::append(server.url(), "flights");
        let log = context.dir("logs")?.join(number.to_string());
        number += 1;
        let loaded = ours::logged(&place, flights.batches(rows), ours::settings(rows), &log, clock);
        let loaded = server.runtime().block_on(loaded)?;
        std::fs::remove_dir_all(&log)?;
        Ok(loaded)
    })
}

fn tokio_postgres_copy(context: &Context, rows: usize) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let copies = flights.copies(rows);
    repeat(context, &flights.create("flights", ""), |server, clock| {
        server.runtime().block_on(foreign::tokio_postgres_copy(&server.url(), &copies, clock))?;
        Ok(flights.rows())
    })
}

fn sqlx_copy(context: &Context, rows: usize) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let copies = flights.copies(rows);
    repeat(context, &flights.create("flights", ""), |server, clock| {
        server.runtime().block_on(foreign::sqlx_copy(&server.url(), &copies, clock))?;
        Ok(flights.rows())
    })
}

fn socket(context: &Context, rows: usize) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let copies = flights.copies(rows);
    repeat(context, &flights.create("flights", ""), |server, clock| {
        socket::copy(&server.url(), &copies, clock)?;
        Ok(flights.rows())
    })
}

fn unnest(context: &Context, rows: usize) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let batches: Vec<_> =
        flights.batches(rows).take(FEWER_ROWS / rows).map(columns_of).collect::<Outcome<_>>()?;
    let count = batches.iter().map(|batch| batch.first().map_or(0, |values| values.len() as u64)).sum();
    repeat(context, &flights.create("flights", ""), |server, clock| {
        server.runtime().block_on(foreign::unnest(&server.url(), &batches, "", clock))?;
        Ok(count)
    })
}

fn values(context: &Context, rows: usize) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let batches: Vec<_> =
        flights.batches(rows).take(FEWER_ROWS / rows).map(columns_of).collect::<Outcome<_>>()?;
    let count = batches.iter().map(|batch| batch.first().map_or(0, |values| values.len() as u64)).sum();
    repeat(context, &flights.create("flights", ""), |server, clock| {
        server.runtime().block_on(foreign::values(&server.url(), &batches, clock))?;
        Ok(count)
    })
}
