use std::{convert::Infallible, path::Path, sync::Arc, time::Instant};

use standpipe_harness::Outcome;
use standpipe_wal::{Dir, Durability, Log, Record as LogRecord, Replay, Settings, Ticket, Wal};

use super::{
    engine::{Engine, Promise, Replayed, Writer},
    record::{Record, Seen},
};

/// Ours, as it comes: segments of 64 MiB, group commit. Only the size limit is raised, so that a long run is not
/// refused for want of truncation.
pub(crate) struct Standpipe {
    pub(crate) log: Wal,
}

pub(crate) struct StandpipeWriter(Arc<Standpipe>);

fn settings(promise: Promise) -> Settings {
    let durability = match promise {
        Promise::Durable => Durability::Group,
        Promise::Os => Durability::Os,
    };
    Settings { durability, size_bytes_max: 16 << 30, ..Settings::default() }
}

impl Engine for Standpipe {
    type Writer = StandpipeWriter;

    fn open(dir: &Path, promise: Promise) -> Outcome<Self> {
        Ok(Standpipe { log: Wal::open(dir, settings(promise))? })
    }

    fn writer(self: &Arc<Self>, _: u64) -> Outcome<StandpipeWriter> {
        Ok(StandpipeWriter(Arc::clone(self)))
    }

    fn close(self) -> Outcome<()> {
        Ok(self.log.close()?)
    }

    fn replay(dir: &Path, seen: Seen) -> Outcome<Replayed> {
        replay(dir, seen, |replay| replay)
    }
}

impl Standpipe {
    pub(crate) fn replay_mapped(dir: &Path, seen: Seen) -> Outcome<Replayed> {
        replay(dir, seen, |replay| replay.mapped())
    }
}

fn replay(dir: &Path, mut seen: Seen, how: fn(Replay<'_, Dir>) -> Replay<'_, Dir>) -> Outcome<Replayed> {
    let recovering = Wal::recover(dir, settings(Promise::Durable))?;
    let opened = Instant::now();
    how(recovering.replay(recovering.start())).each(|entry| {
        seen.record(entry.payload);
        Ok::<(), Infallible>(())
    })?;
    let ended = Instant::now();
    recovering.finish().close()?;
    Ok(Replayed { seen, opened, ended })
}

impl Writer for StandpipeWriter {
    fn append(&mut self, record: &Record) -> Outcome<()> {
        self.0.log.append(LogRecord::new(&[record]))?.wait()?;
        Ok(())
    }

    fn append_batch(&mut self, records: &[Record]) -> Outcome<()> {
        let parts: Vec<[&[u8]; 1]> = records.iter().map(|record| [&record[..]]).collect();
        let records: Vec<LogRecord<'_>> = parts.iter().map(|parts| LogRecord::new(parts)).collect();
        self.0.log.append_batch(&records)?.wait()?;
        Ok(())
    }
}

/// Appends without waiting for each: waits for the last of every 64. What an append returned from may still be lost
/// when the process dies.
pub(crate) struct Pipelined {
    log: Arc<Standpipe>,
    since: u32,
}

impl Pipelined {
    pub(crate) fn new(log: &Arc<Standpipe>) -> Self {
        Pipelined { log: Arc::clone(log), since: 0 }
    }

    pub(crate) fn append(&mut self, record: &Record) -> Outcome<()> {
        let ticket = self.log.log.append(LogRecord::new(&[record]))?;
        self.since += 1;
        if self.since == 64 {
            self.since = 0;
            ticket.wait()?;
        }
        Ok(())
    }
}
