use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use standpipe::{Receipt, Rows, Settings, Sink, SinkError, Wal};
use standpipe_harness::{Context, Figure, Latency, Outcome, Pace, Sample, Workload};

use super::{data::Flights, latency_limit, load, ours::Place, server::Server};
use crate::{comparison::Comparison, targets::clock::Clock};

/// How long a row waits for its batch.
const FLUSH_AFTER: Duration = Duration::from_millis(20);
/// Writes a second, whatever the rows.
const WRITES: u32 = 1_000;
/// Below this share of the rate that was asked for, the latencies are those of an overload.
const ENOUGH: f64 = 0.98;

pub(crate) fn workloads() -> Vec<Workload> {
    let mut all = Vec::new();
    for rate in [20_000, 200_000] {
        let work = format!(
            "flights (19 columns) with the log, open loop: {} rows a write, {rate} rows a second, flush-after 20 ms; \
             from the intended start",
            rate / WRITES
        );
        let comparison = Comparison::new(&format!("targets.latency.{}k", rate / 1_000), &work)
            .with("standpipe", "to applied", move |context| run(context, rate, Stage::Applied))
            .with("standpipe-acknowledged", "to acknowledged", move |context| {
                run(context, rate, Stage::Durable)
            })
            .with(
                "limit-disk",
                "to kept: one thread that writes and syncs, beside COPY of the same rows by tokio-postgres",
                move |context| {
                    let interval = Duration::from_secs(1) / WRITES;
                    latency_limit::run(context, (rate / WRITES) as usize, interval, FLUSH_AFTER)
                },
            );
        all.extend(comparison.workloads());
    }
    all
}

#[derive(Clone, Copy)]
enum Stage {
    Durable,
    Applied,
}

fn run(context: &Context, rate: u32, stage: Stage) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let pieces = flights.cut((rate / WRITES) as usize)?;
    let server = Server::of(context)?;
    server.fresh(&flights.create("flights", ""))?;
    let place = Place::append(server.url(), "flights");
    let (sink, stream, target) = server.runtime().block_on(async {
        let target = place.open().await?;
        let log = Wal::open(context.dir("log")?, standpipe::wal::Settings::default())?;
        let settings = Settings { flush_after: FLUSH_AFTER, ..Settings::default() };
        let sink =
            Sink::builder().shared_target(Arc::clone(&target)).log(log).settings(settings).open().await?;
        let stream = sink.stream(place.spec(&pieces)?).await?;
        Outcome::Ok((sink, stream, target))
    })?;
    let mut clock = Clock::of(server.processes()?);
    clock.start()?;
    let began = Instant::now() + context.warm_up();
    let end = began + context.span;
    let (sender, receiver) = mpsc::channel::<(Instant, Result<Instant, SinkError>)>();
    let (mut writes, mut late) = (0, Duration::ZERO);
    let pace = Pace::new(Instant::now(), f64::from(WRITES)).until(end);
    for (intended, piece) in pace.zip(pieces.iter().cycle()) {
        late = intended.elapsed();
        let rows = Rows::from_block(piece.clone());
        let receipt = server.runtime().block_on(sink.write(&stream, rows))?;
        writes += u64::from(piece.rows);
        let sender = sender.clone();
        server.runtime().spawn(async move {
            let ended = wait(stage, &receipt).await.map(|()| Instant::now());
            // Nobody waits any more after an error.
            let _ = sender.send((intended, ended));
        });
    }
    drop(sender);
    let mut latency = Latency::since(began);
    for (intended, ended) in receiver {
        let ended = ended?;
        if intended >= began {
            latency.record(intended, ended);
        }
    }
    server.runtime().block_on(sink.flush())?;
    clock.stop()?;
    server.runtime().block_on(async {
        sink.close(super::ours::LONG).await?;
        Outcome::Ok(target.close().await?)
    })?;
    server.check("rows in the table", load::COUNT, writes)?;
    server.end()?;
    let told = clock.spent().sample(writes);
    // An open loop has no throughput of its own.
    let cpu = told.figures.into_iter().filter(|figure| figure.name.ends_with("_cpu"));
    let mut sample = Sample::of(cpu.collect::<Vec<_>>()).with_latency(&latency);
    let share = context.span.as_secs_f64() / (context.span + late).as_secs_f64();
    if share < ENOUGH {
        sample = sample
            .with(Figure::told("achieved_rate", f64::from(rate) * share, "rows/s"))
            .note("the rate was not reached: these latencies are those of an overload");
    }
    Ok(sample)
}

async fn wait(stage: Stage, receipt: &Receipt) -> Result<(), SinkError> {
    match stage {
        Stage::Durable => receipt.durable().await,
        Stage::Applied => receipt.applied().await,
    }
}
