use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use standpipe_log::{Log, LogError, Record, Ticket};

use super::{GroupReport, Times};
use crate::{lock::lock, settings::Settings, wal::Wal};

/// What the log may take, in bytes.
pub(super) const LOG_BYTES_MAX: u64 = 128 << 20;
const SEGMENT_BYTES: u64 = 8 << 20;
const RECORD_BYTES: usize = 256;
/// How many times of one writer are kept.
const TIMES_MAX: usize = 1 << 20;
/// How often what was written is let go of.
const TRUNCATE_EVERY: Duration = Duration::from_millis(5);

/// A log under some writers for a while. Each appends a record, waits until that is durable, and begins again.
pub(super) fn measure(
    place: &Path,
    writers: usize,
    span: Duration,
    stop: &AtomicBool,
) -> Result<GroupReport, LogError> {
    let settings =
        Settings { segment_bytes: SEGMENT_BYTES, size_bytes_max: LOG_BYTES_MAX, ..Settings::default() };
    let log = Wal::open(place, settings)?;
    let over = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let began = Instant::now();
    let times: Vec<u64> = thread::scope(|scope| {
        let writer = || {
            let mut times = Vec::new();
            while !over.load(Ordering::Relaxed) {
                match commit(&log) {
                    Ok(took) if times.len() < TIMES_MAX => times.push(took),
                    Ok(_) => {}
                    Err(error) => {
                        lock(&failure).get_or_insert(error);
                        over.store(true, Ordering::Relaxed);
                    }
                }
            }
            times
        };
        let running: Vec<_> = (0..writers).map(|_| scope.spawn(writer)).collect();
        while began.elapsed() < span && !stop.load(Ordering::Relaxed) && !over.load(Ordering::Relaxed) {
            thread::sleep(TRUNCATE_EVERY.min(span));
            if let Err(error) = log.truncate_before(log.durable_end()) {
                lock(&failure).get_or_insert(error);
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        running.into_iter().flat_map(|writer| writer.join().unwrap_or_default()).collect()
    });
    let elapsed = began.elapsed();
    if let Some(error) = lock(&failure).take() {
        return Err(error);
    }
    let records = log.end().number() - 1;
    log.close()?;
    Ok(GroupReport {
        writers,
        record_bytes: RECORD_BYTES,
        records_per_second: records as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
        commits: Times::of(times, elapsed),
        raw: Times::default(),
    })
}

/// One durable record; how long that took, in nanoseconds.
fn commit(log: &Wal) -> Result<u64, LogError> {
    let start = Instant::now();
    log.append(Record::new(&[&[0x5a; RECORD_BYTES]]))?.wait()?;
    Ok(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}
