use std::{path::Path, sync::Arc, time::Instant};

use rocksdb::{DB, IteratorMode, Options, WriteBatch, WriteOptions};
use standpipe_harness::Outcome;

use super::{
    engine::{Engine, Promise, Replayed, Writer},
    record::{Record, Seen, sequence, writer},
};

/// `WriteOptions.sync = true`, which its wiki ("Basic Operations", "Asynchronous Writes") gives for a write that
/// survives power loss; writers that come together share a sync. Without it the write is in the system's hands. It
/// also fills a memtable, which cannot be switched off without losing what is read back.
pub(crate) struct RocksDb {
    database: DB,
    sync: bool,
}

pub(crate) struct RocksWriter(Arc<RocksDb>);

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options
}

/// The writer, then the sequence, big-endian: read back in the writers' order.
fn key(record: &[u8]) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&writer(record).to_be_bytes());
    key[8..].copy_from_slice(&sequence(record).to_be_bytes());
    key
}

impl RocksDb {
    fn how(&self) -> WriteOptions {
        let mut how = WriteOptions::default();
        how.set_sync(self.sync);
        how
    }
}

impl Engine for RocksDb {
    type Writer = RocksWriter;

    fn open(dir: &Path, promise: Promise) -> Outcome<Self> {
        Ok(RocksDb { database: DB::open(&options(), dir)?, sync: promise == Promise::Durable })
    }

    fn writer(self: &Arc<Self>, _: u64) -> Outcome<RocksWriter> {
        Ok(RocksWriter(Arc::clone(self)))
    }

    fn close(self) -> Outcome<()> {
        self.database.flush_wal(true)?;
        Ok(())
    }

    fn replay(dir: &Path, mut seen: Seen) -> Outcome<Replayed> {
        let database = DB::open(&options(), dir)?;
        let opened = Instant::now();
        for entry in database.iterator(IteratorMode::Start) {
            let (_, value) = entry?;
            seen.record(&value);
        }
        Ok(Replayed { seen, opened, ended: Instant::now() })
    }
}

impl Writer for RocksWriter {
    fn append(&mut self, record: &Record) -> Outcome<()> {
        self.0.database.put_opt(key(record), record, &self.0.how())?;
        Ok(())
    }

    fn append_batch(&mut self, records: &[Record]) -> Outcome<()> {
        let mut batch = WriteBatch::default();
        for record in records {
            batch.put(key(record), record);
        }
        self.0.database.write_opt(batch, &self.0.how())?;
        Ok(())
    }
}
