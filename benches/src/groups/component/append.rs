use std::time::{Duration, Instant};

use standpipe_harness::{Context, Outcome, Sample, check};
use standpipe_wal::{Log, Lsn, Reader, Record, Ticket, Wal};

use super::closed_loop;
use crate::setup::settings;

pub(super) fn run(context: &Context) -> Outcome<Sample> {
    let dir = context.dir("log")?;
    let wal = settings::wal(&context.settings)?;
    let log = Wal::open(&dir, wal.clone())?;
    let (mut payload, mut appended) = ([7; 1 << 10], 0_u64);
    let latency = closed_loop(context, || {
        payload[..8].copy_from_slice(&appended.to_be_bytes());
        let began = Instant::now();
        log.append(Record::new(&[&payload]))?.wait()?;
        appended += 1;
        Ok((began, Instant::now()))
    })?;
    log.close()?;
    drop(log);

    let log = Wal::open(&dir, wal)?;
    check("the end of the log", log.end(), Lsn::new(1 + appended))?;
    let mut reader = log.follow(Lsn::FIRST)?;
    for number in 0..appended {
        let entry =
            reader.next(Duration::ZERO)?.ok_or("wrong result: an acknowledged record is not there")?;
        payload[..8].copy_from_slice(&number.to_be_bytes());
        check("the record is the one appended", entry.payload == payload, true)?;
    }
    Ok(Sample::of([]).with_latency(&latency))
}
