use std::time::{Duration, Instant};

use standpipe_harness::{Context, Outcome, Sample, Scale};

use super::{clock::Clock, server::Server};

/// The query that tells how many rows there are.
pub(crate) const COUNT: &str = "SELECT count(*) FROM flights";

/// Loads into fresh tables again and again. `load` starts and stops the clock, and says how many rows it was; so many must be there.
pub(crate) fn repeat(
    context: &Context,
    tables: &str,
    load: impl FnMut(&Server, &mut Clock) -> Outcome<u64>,
) -> Outcome<Sample> {
    repeat_checked(context, tables, load, |server, rows| server.check("rows in the table", COUNT, rows))
}

/// The same with a check of one's own.
pub(crate) fn repeat_checked(
    context: &Context,
    tables: &str,
    mut load: impl FnMut(&Server, &mut Clock) -> Outcome<u64>,
    check: impl Fn(&Server, u64) -> Outcome<()>,
) -> Outcome<Sample> {
    let server = Server::of(context)?;
    let mut clock = Clock::of(server.processes()?);
    let (mut rows, began, mut warming) = (0, Instant::now(), context.scale > Scale::Once);
    loop {
        server.fresh(tables)?;
        let more = load(&server, &mut clock)?;
        check(&server, more)?;
        if std::mem::take(&mut warming) {
            clock.reset();
            continue;
        }
        rows += more;
        // What is prepared and checked beside the clock has an end too.
        let most = context.span * 3 + Duration::from_secs(1);
        if clock.spent().time >= context.span || began.elapsed() >= most {
            break;
        }
    }
    server.end()?;
    Ok(clock.spent().sample(rows))
}
