use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use standpipe_harness::{Context, Latency, Outcome, Sample};

use super::{
    data::{Flights, copy_of},
    foreign, load,
    server::Server,
};

/// Files are written in these.
const PAGE: usize = 4 << 10;
/// The file, whose blocks are there before the clock starts.
const FILE_BYTES: usize = 64 << 20;

/// What this disk and these processors leave to whoever keeps rows before they are acknowledged: one thread writes the bytes of
/// all that is due and syncs them, and does nothing else; the same rows go into the server at the same time.
pub(crate) fn run(
    context: &Context,
    rows: usize,
    interval: Duration,
    flush_after: Duration,
) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let pieces = flights.cut(rows)?;
    let bytes = pieces.iter().map(|piece| piece.tuples.len()).max().ok_or("no rows")?.next_multiple_of(PAGE);
    let batch_rows = rows * usize::try_from(flush_after.as_nanos() / interval.as_nanos())?;
    let copies: Vec<_> =
        flights.cut(batch_rows)?.iter().map(|block| copy_of(std::slice::from_ref(block))).collect();
    let server = Server::of(context)?;
    server.fresh(&flights.create("flights", ""))?;
    let goes_on = Arc::new(AtomicBool::new(true));
    let (url, alive) = (server.url(), Arc::clone(&goes_on));
    let copying = server.runtime().spawn(async move {
        foreign::copy_at_times(&url, &copies, flush_after, || alive.load(Ordering::Acquire)).await
    });
    let began = Instant::now() + context.warm_up();
    let kept = keep(&context.dir("file")?.join("kept"), bytes, interval, began, began + context.span);
    goes_on.store(false, Ordering::Release);
    let done = server.runtime().block_on(copying)??;
    let latency = kept?;
    let first: u64 =
        flights.cut(batch_rows)?.iter().cycle().take(done).map(|block| u64::from(block.rows)).sum();
    server.check("rows in the table", load::COUNT, first)?;
    server.end()?;
    Ok(Sample::of([]).with_latency(&latency))
}

/// Keeps so many bytes each time that `interval` is over; what was due meanwhile goes together.
fn keep(path: &Path, bytes: usize, interval: Duration, began: Instant, end: Instant) -> Outcome<Latency> {
    let file = File::create_new(path)?;
    file.write_all_at(&vec![0; FILE_BYTES], 0)?;
    file.sync_all()?;
    let (mut latency, mut next, mut at) = (Latency::since(began), Instant::now(), 0);
    let mut buffer = Vec::new();
    while next < end {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let due = usize::try_from(next.elapsed().as_nanos() / interval.as_nanos())? + 1;
        buffer.resize((due * bytes).min(FILE_BYTES), 0x5a);
        if at + buffer.len() > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&buffer, at as u64)?;
        file.sync_data()?;
        at += buffer.len();
        let ended = Instant::now();
        for _ in 0..due {
            if next >= began {
                latency.record(next, ended);
            }
            next += interval;
        }
    }
    Ok(latency)
}
