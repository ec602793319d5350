use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use standpipe_harness::Outcome;

use super::{
    engine::{Engine, Promise, Replayed, Writer},
    record::{RECORD_BYTES, Record, Seen},
};

/// The log that one writes on a first afternoon: a file behind a mutex, length and CRC before each record, one write
/// and one `sync_data` for each, under the lock. Read back through a `BufReader`.
pub(crate) struct MutexFile {
    file: Mutex<File>,
    sync: bool,
}

pub(crate) struct MutexFileWriter {
    log: Arc<MutexFile>,
    framed: Vec<u8>,
}

const FILE: &str = "home.log";
const HEAD_BYTES: usize = 8;

impl Engine for MutexFile {
    type Writer = MutexFileWriter;

    fn open(dir: &Path, promise: Promise) -> Outcome<Self> {
        let file = File::options().create_new(true).append(true).open(dir.join(FILE))?;
        File::open(dir)?.sync_all()?;
        Ok(MutexFile { file: Mutex::new(file), sync: promise == Promise::Durable })
    }

    fn writer(self: &Arc<Self>, _: u64) -> Outcome<MutexFileWriter> {
        Ok(MutexFileWriter { log: Arc::clone(self), framed: Vec::new() })
    }

    fn close(self) -> Outcome<()> {
        Ok(self.file.into_inner().unwrap_or_else(PoisonError::into_inner).sync_data()?)
    }

    fn replay(dir: &Path, mut seen: Seen) -> Outcome<Replayed> {
        let mut file = BufReader::with_capacity(64 << 10, File::open(dir.join(FILE))?);
        let opened = Instant::now();
        let (mut head, mut record) = ([0; HEAD_BYTES], Vec::new());
        loop {
            match file.read_exact(&mut head) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(Replayed { seen, opened, ended: Instant::now() });
                }
                other => other?,
            }
            let [a, b, c, d, crc @ ..] = head;
            let length = u32::from_le_bytes([a, b, c, d]) as usize;
            if length > RECORD_BYTES {
                return Err("a record's length".into());
            }
            record.resize(length, 0);
            file.read_exact(&mut record)?;
            if crc32c::crc32c(&record) != u32::from_le_bytes(crc) {
                return Err("a record's checksum".into());
            }
            seen.record(&record);
        }
    }
}

impl MutexFileWriter {
    fn write(&mut self, records: &[Record]) -> Outcome<()> {
        self.framed.clear();
        for record in records {
            self.framed.extend_from_slice(&(RECORD_BYTES as u32).to_le_bytes());
            self.framed.extend_from_slice(&crc32c::crc32c(record).to_le_bytes());
            self.framed.extend_from_slice(record);
        }
        let mut file = self.log.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&self.framed)?;
        if self.log.sync {
            file.sync_data()?;
        }
        Ok(())
    }
}

impl Writer for MutexFileWriter {
    fn append(&mut self, record: &Record) -> Outcome<()> {
        self.write(std::slice::from_ref(record))
    }

    fn append_batch(&mut self, records: &[Record]) -> Outcome<()> {
        self.write(records)
    }
}
