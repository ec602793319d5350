use std::{path::Path, sync::Arc, time::Instant};

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine as RaftLog, LogBatch, MessageExt, ReadableSize};
use standpipe_harness::Outcome;

use super::{
    engine::{Engine, Promise, Replayed, Writer},
    record::{Record, Seen, sequence},
};

/// Durable as its README says: `write(batch, sync: true)`, which the leader of a group of writers follows with one
/// `fdatasync`. Each writer has a raft group of its own, which is what it is made for. Entries are the smallest
/// protobuf message that holds bytes; the index is read out of the record. Its defaults otherwise (files of 128 MiB,
/// LZ4 above 8 KiB switched off: the records do not compress, so it would only cost).
pub(crate) struct RaftEngine {
    log: RaftLog,
    sync: bool,
}

pub(crate) struct RaftWriter {
    engine: Arc<RaftEngine>,
    group: u64,
    batch: LogBatch,
    entries: Vec<BytesValue>,
}

struct Entries;

impl MessageExt for Entries {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        sequence(&entry.value)
    }
}

/// Entries that one read asks for.
const CHUNK: u64 = 1024;

fn config(dir: &Path) -> Config {
    Config {
        dir: dir.to_string_lossy().into_owned(),
        batch_compression_threshold: ReadableSize(0),
        ..Config::default()
    }
}

impl Engine for RaftEngine {
    type Writer = RaftWriter;

    fn open(dir: &Path, promise: Promise) -> Outcome<Self> {
        Ok(RaftEngine { log: RaftLog::open(config(dir))?, sync: promise == Promise::Durable })
    }

    fn writer(self: &Arc<Self>, number: u64) -> Outcome<RaftWriter> {
        Ok(RaftWriter {
            engine: Arc::clone(self),
            group: number + 1,
            batch: LogBatch::default(),
            entries: Vec::new(),
        })
    }

    fn close(self) -> Outcome<()> {
        Ok(self.log.sync()?)
    }

    fn replay(dir: &Path, mut seen: Seen) -> Outcome<Replayed> {
        let log = RaftLog::open(config(dir))?;
        let opened = Instant::now();
        let mut groups = log.raft_groups();
        groups.sort_unstable();
        let mut entries = Vec::with_capacity(CHUNK as usize);
        for group in groups {
            let (Some(first), Some(last)) = (log.first_index(group), log.last_index(group)) else { continue };
            let mut from = first;
            while from <= last {
                let until = (from + CHUNK).min(last + 1);
                entries.clear();
                log.fetch_entries_to::<Entries>(group, from, until, None, &mut entries)?;
                entries.iter().for_each(|entry| seen.record(&entry.value));
                from = until;
            }
        }
        Ok(Replayed { seen, opened, ended: Instant::now() })
    }
}

impl RaftWriter {
    fn write(&mut self, records: &[Record]) -> Outcome<()> {
        self.entries.resize_with(records.len(), BytesValue::new);
        for (entry, record) in self.entries.iter_mut().zip(records) {
            entry.value.clear();
            entry.value.extend_from_slice(record);
        }
        self.batch.add_entries::<Entries>(self.group, &self.entries)?;
        self.engine.log.write(&mut self.batch, self.engine.sync)?;
        Ok(())
    }
}

impl Writer for RaftWriter {
    fn append(&mut self, record: &Record) -> Outcome<()> {
        self.write(std::slice::from_ref(record))
    }

    fn append_batch(&mut self, records: &[Record]) -> Outcome<()> {
        self.write(records)
    }
}
