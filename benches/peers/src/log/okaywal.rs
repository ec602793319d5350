use std::{
    io, mem,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use okaywal::{Configuration, Entry, EntryId, LogManager, ReadChunkResult, SegmentReader, WriteAheadLog};
use standpipe_harness::Outcome;

use super::{
    engine::{Engine, Promise, Replayed, Writer},
    record::{Record, Seen},
};

/// Durable as its README says: an entry of one chunk for each record (of one chunk a record for a batch), committed,
/// which shares an `fsync` with its neighbours. It has no promise below that. Its README calls preallocation critical
/// for performance: files of 64 MiB like ours instead of 1 MiB, and a checkpoint at 60 MiB, below the preallocated
/// size as its documentation asks. A log of 100,000 records fits into one file and is not checkpointed before it is
/// replayed. Entries that were checkpointed in a long run count as read back when the checkpoint shows them.
pub(crate) struct OkayWal {
    log: WriteAheadLog,
    kept: Shared,
}

pub(crate) struct OkayWriter(WriteAheadLog);

type Shared = Arc<Mutex<Vec<Record>>>;

#[derive(Debug)]
enum Manager {
    /// Keeps what is checkpointed, to be looked at later.
    Writing(Shared),
    /// Looks at what is recovered.
    Reading(Arc<Mutex<Seen>>),
}

impl LogManager for Manager {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        if let Manager::Reading(seen) = self {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            each_chunk(entry, |record| seen.record(record))?;
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _: EntryId,
        entries: &mut SegmentReader,
        _: &WriteAheadLog,
    ) -> io::Result<()> {
        if let Manager::Writing(kept) = self {
            let mut records = Vec::new();
            while let Some(mut entry) = entries.read_entry()? {
                each_chunk(&mut entry, |chunk| records.extend(Record::try_from(chunk)))?;
            }
            kept.lock().unwrap_or_else(PoisonError::into_inner).extend(records);
        }
        Ok(())
    }
}

fn each_chunk(entry: &mut Entry<'_>, mut show: impl FnMut(&[u8])) -> io::Result<()> {
    loop {
        match entry.read_chunk()? {
            ReadChunkResult::Chunk(mut chunk) => {
                let bytes = chunk.read_all()?;
                if !chunk.check_crc()? {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk's checksum"));
                }
                show(&bytes);
            }
            ReadChunkResult::EndOfEntry => return Ok(()),
            ReadChunkResult::AbortedEntry => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an entry without an end"));
            }
        }
    }
}

fn configuration(dir: &Path) -> Configuration {
    Configuration::default_for(dir).preallocate_bytes(64 << 20).checkpoint_after_bytes(60 << 20)
}

impl Engine for OkayWal {
    type Writer = OkayWriter;

    fn open(dir: &Path, promise: Promise) -> Outcome<Self> {
        if promise == Promise::Os {
            return Err("okaywal syncs every commit".into());
        }
        let kept = Shared::default();
        Ok(OkayWal { log: configuration(dir).open(Manager::Writing(kept.clone()))?, kept })
    }

    fn writer(self: &Arc<Self>, _: u64) -> Outcome<OkayWriter> {
        Ok(OkayWriter(self.log.clone()))
    }

    fn close(self) -> Outcome<()> {
        self.log.shutdown()?;
        let kept = mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        CHECKPOINTED.lock().unwrap_or_else(PoisonError::into_inner).extend(kept);
        Ok(())
    }

    fn replay(dir: &Path, mut seen: Seen) -> Outcome<Replayed> {
        let kept = mem::take(&mut *CHECKPOINTED.lock().unwrap_or_else(PoisonError::into_inner));
        kept.iter().for_each(|record| seen.record(record));
        let seen = Arc::new(Mutex::new(seen));
        let log = configuration(dir).open(Manager::Reading(Arc::clone(&seen)))?;
        let ended = Instant::now();
        log.shutdown()?;
        let seen = Arc::into_inner(seen).ok_or("okaywal still holds its manager")?;
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Its records are shown while it opens.
        Ok(Replayed { seen, opened: ended, ended })
    }
}

/// What this process's log gave to checkpoints: no longer in its files, and as good as read back.
static CHECKPOINTED: Mutex<Vec<Record>> = Mutex::new(Vec::new());

impl Writer for OkayWriter {
    fn append(&mut self, record: &Record) -> Outcome<()> {
        let mut entry = self.0.begin_entry()?;
        entry.write_chunk(record)?;
        entry.commit()?;
        Ok(())
    }

    fn append_batch(&mut self, records: &[Record]) -> Outcome<()> {
        let mut entry = self.0.begin_entry()?;
        for record in records {
            entry.write_chunk(record)?;
        }
        entry.commit()?;
        Ok(())
    }
}
