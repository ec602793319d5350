//! Records into a log, and out of it again. The disk has no part in it: nothing waits for a sync.

use std::time::Duration;

use standpipe_harness::{Outcome, check};
use standpipe_wal::{Durability, Log, Lsn, Reader, Record, Settings, Ticket, Wal};
use tempfile::TempDir;

use super::{Hot, Prepared};

/// Records that are appended with one call and waited for together.
const BATCH: u64 = 64;
const RECORD_BYTES: usize = 256;
/// Once so many records are in the log, the old ones are let go.
const KEPT_RECORDS: u64 = 1 << 20;

pub(super) const FRAME_RECORD: Hot = Hot {
    name: "frame_record",
    measures: "a record of 256 B into the log, 64 a call, handed to the system and not synced",
    quick: true,
    prepare: frame_record,
};

pub(super) const READ_RECORD: Hot = Hot {
    name: "read_record",
    measures: "a record of 256 B out of a log of 8,192, frames of 64 checked",
    quick: false,
    prepare: read_record,
};

fn settings() -> Settings {
    Settings {
        durability: Durability::Os,
        size_bytes_max: 8 << 30,
        // No timer that may or may not come within what is counted.
        idle_proof: None,
        ..Settings::default()
    }
}

/// A log, and the directory it is in, which is removed once the log is closed.
struct Place {
    log: Wal,
    _dir: TempDir,
}

impl Place {
    fn open() -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        Ok(Place { log: Wal::open(dir.path(), settings())?, _dir: dir })
    }

    /// Appends so many records in batches, each waited for; returns how many numbers that took.
    fn append(&self, records: u64) -> Outcome<u64> {
        let payload = [7; RECORD_BYTES];
        let parts: [&[u8]; 1] = [&payload];
        let batch = [Record::new(&parts); BATCH as usize];
        let (began, mut left) = (self.log.end().number(), records);
        let mut end = began;
        while left > 0 {
            let size = left.min(BATCH);
            end = self.log.append_batch(&batch[..size as usize])?.wait()?.next().number();
            left -= size;
        }
        if self.log.end().number() - self.log.start().number() > KEPT_RECORDS {
            self.log.truncate_before(self.log.end())?;
        }
        Ok(end - began)
    }

    /// Reads so many records, from the first to the `last` and again from the first; returns their bytes.
    fn read(&self, last: u64, records: u64) -> Outcome<u64> {
        let (mut left, mut bytes) = (records, 0_u64);
        while left > 0 {
            let mut reader = self.log.follow(Lsn::FIRST)?;
            for _ in 0..left.min(last) {
                let entry = reader.next(Duration::ZERO)?.ok_or("the log ends early")?;
                bytes += entry.payload.len() as u64;
            }
            check("where the reader stands", reader.position().number(), 1 + left.min(last))?;
            left -= left.min(last);
        }
        Ok(bytes)
    }
}

fn frame_record() -> Outcome<Prepared> {
    let place = Place::open()?;
    Ok(Prepared::new(move |records| place.append(records), |records| records))
}

fn read_record() -> Outcome<Prepared> {
    const RECORDS: u64 = 128 * BATCH;
    let place = Place::open()?;
    place.append(RECORDS)?;
    Ok(Prepared::new(move |records| place.read(RECORDS, records), |records| records * RECORD_BYTES as u64))
}
