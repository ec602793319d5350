use std::{path::Path, sync::Arc, time::Instant};

use standpipe_harness::Outcome;
use wal_db::Wal;

use super::{
    engine::{Engine, Promise, Replayed, Writer},
    record::{Record, Seen},
};

/// As its README has it: `append_and_sync` for a durable record, which shares an `fdatasync` with its neighbours;
/// `append` for one that the system holds; for a batch so many appends and one `sync` (docs/API.md, "append a batch,
/// then a single sync"), which is not all or none as the others' batches are. One file, its default.
pub(crate) struct WalDb {
    log: Wal,
    sync: bool,
}

pub(crate) struct WalDbWriter(Arc<WalDb>);

const FILE: &str = "log.wal";

impl Engine for WalDb {
    type Writer = WalDbWriter;

    fn open(dir: &Path, promise: Promise) -> Outcome<Self> {
        Ok(WalDb { log: Wal::open(dir.join(FILE))?, sync: promise == Promise::Durable })
    }

    fn writer(self: &Arc<Self>, _: u64) -> Outcome<WalDbWriter> {
        Ok(WalDbWriter(Arc::clone(self)))
    }

    fn close(self) -> Outcome<()> {
        Ok(self.log.sync()?)
    }

    fn replay(dir: &Path, mut seen: Seen) -> Outcome<Replayed> {
        let log = Wal::open(dir.join(FILE))?;
        let opened = Instant::now();
        for entry in log.iter()? {
            seen.record(entry?.data());
        }
        Ok(Replayed { seen, opened, ended: Instant::now() })
    }
}

impl Writer for WalDbWriter {
    fn append(&mut self, record: &Record) -> Outcome<()> {
        if self.0.sync {
            let _lsn = self.0.log.append_and_sync(record)?;
        } else {
            let _lsn = self.0.log.append(record)?;
        }
        Ok(())
    }

    fn append_batch(&mut self, records: &[Record]) -> Outcome<()> {
        for record in records {
            let _lsn = self.0.log.append(record)?;
        }
        if self.0.sync {
            self.0.log.sync()?;
        }
        Ok(())
    }
}
