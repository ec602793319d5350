use std::sync::Arc;

use standpipe::Rows;
use standpipe_harness::{Context, Outcome, Sample, Workload};

use super::{
    clock::Clock,
    data::{Flights, range_after},
    load,
    ours::{self, Place},
};
use crate::comparison::Comparison;

const SINKS: usize = 4;

pub(crate) fn workloads() -> Vec<Workload> {
    let work =
        "flights (19 columns), encoded in memory, into new tables of one server, default batches, no log";
    Comparison::new("targets.streams", work)
        .with(
            "standpipe",
            "4 sinks, each a quarter of the rows into a table of its own, at once",
            |context| run(context, SINKS),
        )
        .with("standpipe-one", "1 sink", |context| run(context, 1))
        .workloads()
}

fn run(context: &Context, sinks: usize) -> Outcome<Sample> {
    let flights = Arc::new(Flights::read(context)?);
    let tables: Vec<_> = (0..sinks).map(|number| flights.create(&format!("flights_{number}"), "")).collect();
    let counts: Vec<_> = (0..sinks).map(|number| format!("SELECT * FROM flights_{number}")).collect();
    let count = format!("SELECT count(*) FROM ({}) AS flights", counts.join(" UNION ALL "));
    load::repeat_checked(
        context,
        &tables.join("; "),
        |server, clock| {
            server.runtime().block_on(at_once(&server.url(), &flights, sinks, clock))?;
            Ok(flights.rows())
        },
        |server, rows| server.check("rows in the tables", &count, rows),
    )
}

/// Each sink has connections of its own, as a process of its own would.
async fn at_once(url: &str, flights: &Arc<Flights>, sinks: usize, clock: &mut Clock) -> Outcome<()> {
    let mut ready = Vec::new();
    for number in 0..sinks {
        let place = Place::append(url.to_owned(), &format!("flights_{number}"));
        let target = place.open().await?;
        let opened =
            ours::source(&place, Arc::clone(&target), &flights.blocks, standpipe::Settings::default());
        ready.push((number, target, opened.await?));
    }
    clock.start()?;
    let mut writers = Vec::new();
    for (number, target, (sink, stream)) in ready {
        let flights = Arc::clone(flights);
        writers.push(tokio::spawn(async move {
            let mut at = 0;
            for block in flights.blocks.iter().skip(number).step_by(sinks) {
                let range = range_after(&mut at, std::slice::from_ref(block));
                let _flushed = sink.write_at(&stream, range, Rows::from_block(block.clone())).await?;
            }
            sink.flush().await?;
            Ok::<_, standpipe::SinkError>((sink, target))
        }));
    }
    let mut done = Vec::new();
    for writer in writers {
        done.push(writer.await??);
    }
    clock.stop()?;
    for (sink, target) in done {
        sink.close(ours::LONG).await?;
        target.close().await?;
    }
    Ok(())
}
