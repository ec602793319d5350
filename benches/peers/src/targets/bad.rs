use standpipe_harness::{Context, Outcome, Sample, Workload};

use super::{
    data::{Flights, bad_rows},
    load,
    ours::{self, Place},
};
use crate::comparison::Comparison;

const ROWS: usize = 10_000;

pub(crate) fn workloads() -> Vec<Workload> {
    let work = "flights (19 columns) into a table with a CHECK, 10,000 rows a transaction, no log";
    Comparison::new("targets.bad", work)
        .with("standpipe", "one row in every 10,000 breaks the CHECK and becomes a dead letter", |context| {
            run(context, true)
        })
        .with("standpipe-clean", "no row does", |context| run(context, false))
        .workloads()
}

fn run(context: &Context, with_bad: bool) -> Outcome<Sample> {
    let flights = if with_bad { Flights::with_bad_rows(context)? } else { Flights::read(context)? };
    let bad = if with_bad { bad_rows(flights.rows()) } else { 0 };
    let tables = flights.create("flights", ", CHECK (distance >= 0)");
    load::repeat_checked(
        context,
        &tables,
        |server, clock| {
            let place = Place::append(server.url(), "flights");
            let batches = flights.batches(ROWS);
            server.runtime().block_on(ours::sink(&place, batches, ours::settings(ROWS), clock))
        },
        |server, rows| {
            server.check("rows in the table", load::COUNT, rows - bad)?;
            match bad {
                0 => Ok(()),
                _ => server.check("dead letters", "SELECT count(*) FROM standpipe_dead_letters", bad),
            }
        },
    )
}
