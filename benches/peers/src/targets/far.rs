use std::{sync::Arc, time::Duration};

use standpipe::Rows;
use standpipe_harness::{Context, Figure, Outcome, Sample, Scale, Workload};

use super::{
    clock::Clock,
    data::{Flights, range_after, rows_of},
    foreign, load,
    ours::{self, Place},
    proxy::Proxy,
    server::Server,
    upsert::Upserts,
};
use crate::comparison::Comparison;

const ROWS: usize = 10_000;
/// Batches of a sample, so that the farthest takes about two seconds.
const BATCHES: usize = 6;

pub(crate) fn workloads() -> Vec<Workload> {
    let mut all = Vec::new();
    for ms in [0, 1, 10, 50] {
        let delay = Duration::from_millis(ms);
        let work = format!(
            "flights (19 columns) to a server whose answers come {ms} ms later (a proxy in this process), 10,000 rows a transaction"
        );
        let comparison = Comparison::new(&format!("targets.far.{ms}ms"), &work)
            .with("standpipe", "Sink and Postgres, append, no log", move |context| append(context, delay))
            .with("standpipe-upsert", "the same, upsert with every other key present", move |context| {
                upsert(context, delay)
            })
            .with(
                "tokio-postgres-copy",
                "BEGIN, COPY BINARY of bytes that are ready, COMMIT",
                move |context| copy(context, delay),
            );
        all.extend(comparison.workloads());
    }
    all
}

fn append(context: &Context, delay: Duration) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let server = Server::of(context)?;
    server.fresh(&flights.create("flights", ""))?;
    far(context, delay, server, &flights, |url| Place::append(url, "flights"))
}

fn upsert(context: &Context, delay: Duration) -> Outcome<Sample> {
    let upserts = Upserts::read(context, ROWS * (BATCHES + 1))?;
    let server = Server::of(context)?;
    server.fresh(&upserts.tables())?;
    upserts.fill(&server)?;
    far(context, delay, server, &upserts.flights, |url| Place::upsert(url, "flights"))
}

/// One batch before the clock starts, so that the table is known and the connection made, and then the others.
fn far(
    context: &Context,
    delay: Duration,
    server: Server,
    flights: &Flights,
    place: impl FnOnce(String) -> Place,
) -> Outcome<Sample> {
    let proxy = Proxy::start(server.place()?, delay)?;
    let place = place(server.url_by_port(proxy.port)?);
    let mut clock = Clock::of(server.processes()?);
    let (rows, all, trips) = server.runtime().block_on(async {
        let target = place.open().await?;
        let settings = ours::settings(batch_rows(context));
        let (sink, stream) = ours::source(&place, Arc::clone(&target), &flights.blocks, settings).await?;
        let (mut at, mut first, mut trips) = (0, 0, 0);
        for (number, blocks) in flights.batches(batch_rows(context)).take(1 + batches(context)).enumerate() {
            if number == 1 {
                first = at;
                trips = proxy.round_trips();
                clock.start()?;
            }
            for block in blocks {
                let range = range_after(&mut at, std::slice::from_ref(block));
                let _flushed = sink.write_at(&stream, range, Rows::from_block(block.clone())).await?;
            }
            if number == 0 {
                sink.flush().await?;
            }
        }
        sink.flush().await?;
        clock.stop()?;
        let trips = proxy.round_trips() - trips;
        sink.close(ours::LONG).await?;
        target.close().await?;
        Outcome::Ok((at - first, at, trips))
    })?;
    server.check("rows in the table", load::COUNT, all)?;
    server.end()?;
    Ok(told(context, &clock, rows, trips))
}

fn copy(context: &Context, delay: Duration) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let copies = flights.copies(batch_rows(context));
    let copies = &copies[..copies.len().min(batches(context))];
    let rows = flights.batches(batch_rows(context)).take(copies.len()).map(rows_of).sum();
    let server = Server::of(context)?;
    server.fresh(&flights.create("flights", ""))?;
    let proxy = Proxy::start(server.place()?, delay)?;
    let mut clock = Clock::of(server.processes()?);
    let mut trips = 0;
    let url = server.url_by_port(proxy.port)?;
    server.runtime().block_on(foreign::tokio_postgres_copy_and(&url, copies, &mut clock, || {
        trips = proxy.round_trips() - trips;
    }))?;
    server.check("rows in the table", load::COUNT, rows)?;
    server.end()?;
    Ok(told(context, &clock, rows, trips))
}

/// Rows of a batch.
fn batch_rows(context: &Context) -> usize {
    if context.scale == Scale::Once { 1_000 } else { ROWS }
}

fn batches(context: &Context) -> usize {
    if context.scale == Scale::Once { 1 } else { BATCHES }
}

fn told(context: &Context, clock: &Clock, rows: u64, trips: u64) -> Sample {
    let batches = rows.div_ceil(batch_rows(context) as u64).max(1);
    let each = trips as f64 / batches as f64;
    clock.spent().sample(rows).with(Figure::told("round_trips", each, "/batch"))
}
