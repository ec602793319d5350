use std::{sync::mpsc, thread, time::Duration};

use standpipe_log::{Log, LogError, Lsn, Reader, Record, Ticket};

use super::{Crash, LogFixture};
use crate::{Cut, block_on_for};

/// A record as it was read back: its number and its bytes.
pub(crate) type Read = (u64, Vec<u8>);

/// A payload that no other number has, of `size` bytes at least, without runs that a log could take for something else.
pub(crate) fn payload(number: u64, size: usize) -> Vec<u8> {
    let mut bytes = format!("record {number:06} ").into_bytes();
    let mut random = crate::Random::new(number);
    while bytes.len() < size {
        bytes.push(b'a' + random.below(26) as u8);
    }
    bytes
}

/// Unwraps what must succeed.
#[track_caller]
pub(crate) fn ok<T>(result: Result<T, LogError>, doing: &str, duty: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{duty}: {doing} must succeed, but: {error}"),
    }
}

/// Opens the fixture's log, which must succeed.
#[track_caller]
pub(crate) fn open<F: LogFixture>(fixture: &mut F, duty: &str) -> F::Log {
    ok(fixture.open(), "opening", duty)
}

/// Closes the log and opens it again.
#[track_caller]
pub(crate) fn reopen<F: LogFixture>(fixture: &mut F, log: F::Log, duty: &str) -> F::Log {
    ok(log.close(), "closing", duty);
    drop(log);
    ok(fixture.open(), "opening after a clean close", duty)
}

/// Lets the log die and opens what is left, which must succeed. `None` when the fixture cannot.
#[track_caller]
pub(crate) fn crash<F: LogFixture>(fixture: &mut F, log: F::Log, how: Crash, duty: &str) -> Option<F::Log> {
    let opened = fixture.crash(log, how)?;
    Some(ok(opened, &format!("opening after {how:?}"), duty))
}

/// Waits for the ticket, for no longer than `patience`.
#[track_caller]
pub(crate) fn outcome<T: Ticket>(ticket: T, patience: Duration, duty: &str) -> Result<Lsn, LogError> {
    match block_on_for(ticket, patience) {
        Some(outcome) => outcome,
        None => panic!("{duty}: a ticket did not resolve within {patience:?}"),
    }
}

/// Appends a record and waits until it is durable.
#[track_caller]
pub(crate) fn keep<L: Log>(log: &L, bytes: &[u8], patience: Duration, duty: &str) -> u64 {
    let ticket = ok(log.append(Record::new(&[bytes])), "appending", duty);
    ok(outcome(ticket, patience, duty), "the ticket", duty).number()
}

/// Appends the payloads of these numbers one by one, each durable before the next.
#[track_caller]
pub(crate) fn keep_all<L: Log>(
    log: &L,
    numbers: std::ops::Range<u64>,
    size: usize,
    patience: Duration,
    duty: &str,
) -> Vec<Read> {
    numbers
        .map(|number| {
            let bytes = payload(number, size);
            (keep(log, &bytes, patience, duty), bytes)
        })
        .collect()
}

/// Appends these payloads as one batch.
#[track_caller]
pub(crate) fn batch<L: Log>(log: &L, payloads: &[Vec<u8>], duty: &str) -> L::Ticket {
    let parts: Vec<[&[u8]; 1]> = payloads.iter().map(|bytes| [bytes.as_slice()]).collect();
    let records: Vec<Record<'_>> = parts.iter().map(|parts| Record::new(parts)).collect();
    ok(log.append_batch(&records), "appending a batch", duty)
}

/// Everything that a reader from the start shows now.
#[track_caller]
pub(crate) fn read_all<L: Log>(log: &L, duty: &str) -> Vec<Read> {
    read_from(log, log.start(), duty)
}

/// Everything that a reader from this number shows now.
#[track_caller]
pub(crate) fn read_from<L: Log>(log: &L, from: Lsn, duty: &str) -> Vec<Read> {
    let mut reader = ok(log.follow(from), "following", duty);
    let mut found = Vec::new();
    while let Some(entry) = ok(reader.next(Duration::ZERO), "reading", duty) {
        found.push((entry.lsn.number(), entry.payload.to_vec()));
    }
    found
}

/// Compares what was read with what was written and names the first difference.
#[track_caller]
pub(crate) fn same(found: &[Read], expected: &[Read], what: &str) {
    let show = |read: Option<&Read>| match read {
        Some((lsn, bytes)) => {
            let head = String::from_utf8_lossy(&bytes[..bytes.len().min(24)]);
            format!("number {lsn}, {} bytes, {head:?}", bytes.len())
        }
        None => "the end".to_owned(),
    };
    let differ = (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at));
    if let Some(at) = differ {
        panic!(
            "{what}: {} records were read, {} were expected; at the {}. there is {} in place of {}",
            found.len(),
            expected.len(),
            at + 1,
            show(found.get(at)),
            show(expected.get(at)),
        );
    }
}

/// Runs `work` on a thread of its own and waits for it no longer than `patience`; the thread is left behind then.
pub(crate) fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()).ok());
    result.recv_timeout(patience).ok()
}

/// Power cuts of every kind.
pub(crate) fn power_cuts() -> Vec<Crash> {
    let mut cuts = vec![Cut::LoseUnsynced, Cut::KeepAll, Cut::LoseNames, Cut::LoseWrites];
    for sectors in [1, 17, 100, 700, 1500, 2800] {
        cuts.push(Cut::Torn { sector_bytes: 1, sectors });
    }
    cuts.extend((0..6).map(|sectors| Cut::Torn { sector_bytes: 512, sectors }));
    cuts.extend((0..24).map(|seed| Cut::Subset { seed }));
    cuts.into_iter().map(Crash::Power).collect()
}

/// The power cut that keeps no more than it must.
pub(crate) const LOSE_UNSYNCED: Crash = Crash::Power(Cut::LoseUnsynced);

/// The payload numbers of [`unsynced`].
pub(crate) const UNSYNCED: std::ops::Range<u64> = 50..54;

/// Appends records while syncs are held, and waits until the log tries to sync.
pub(crate) fn unsynced<F: LogFixture>(
    fixture: &mut F,
    log: &F::Log,
    duty: &str,
) -> Vec<<F::Log as Log>::Ticket> {
    let tickets: Vec<_> = UNSYNCED.map(|number| log.append(Record::new(&[&payload(number, 900)]))).collect();
    let reached = fixture.sync_reached(fixture.patience());
    if !reached || tickets.iter().any(Result::is_err) {
        fixture.release_syncs();
        panic!("{duty}: appending did not lead to a sync, or was refused");
    }
    tickets.into_iter().flatten().collect()
}

/// The error at which reading ends, if it does before `most` records.
pub(crate) fn read_to_error(mut reader: impl Reader, most: usize) -> Option<LogError> {
    for _ in 0..most {
        match reader.next(Duration::ZERO) {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
    None
}
