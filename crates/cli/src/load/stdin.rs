use std::{
    io::{self, Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use super::{input::Packing, interrupt::Interrupt};
use crate::exit::{Exit, Failure};

const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that are read ahead: 512 KiB.
const CHUNKS_MAX: usize = 8;
/// How long a look at standard input waits for more once it has a record.
const LOOK: Duration = Duration::from_millis(300);
/// How often a reader that waits looks whether it should stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// Standard input, read ahead by a thread so that a reader knows whether it would wait.
pub(crate) struct Stdin {
    chunks: Chunks,
    /// What a look has taken already.
    head: Vec<u8>,
}

/// Bytes as they come.
struct Chunks {
    receiver: Receiver<io::Result<Vec<u8>>>,
    queued: Arc<AtomicUsize>,
    current: Cursor<Vec<u8>>,
    ended: bool,
    /// Why no more can be read; told to whoever reads next.
    failed: Option<io::Error>,
    interrupt: Interrupt,
}

/// Tells whether the next read of standard input would wait for the producer.
#[derive(Clone)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    pub(crate) fn would_wait(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Stdin {
    /// Begins to read. An interrupted load finds its end where its input is.
    pub(crate) fn open(interrupt: Interrupt) -> Result<Self, Failure> {
        let (sender, receiver) = mpsc::sync_channel(CHUNKS_MAX);
        let queued = Arc::new(AtomicUsize::new(0));
        let counted = queued.clone();
        let read = move || {
            let mut input = io::stdin().lock();
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = match input.read(&mut chunk) {
                    Ok(length) => {
                        chunk.truncate(length);
                        Ok(chunk)
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let is_last = read.as_ref().map_or(true, Vec::is_empty);
                // An end counts as something to read: who reads it does not wait.
                counted.fetch_add(1, Ordering::Release);
                if sender.send(read).is_err() || is_last {
                    return;
                }
            }
        };
        thread::Builder::new().name("standpipe-stdin".into()).spawn(read).map_err(|error| {
            Failure::refused(format!("cannot start a thread for standard input: {error}"))
        })?;
        let chunks = Chunks {
            receiver,
            queued,
            current: Cursor::new(Vec::new()),
            ended: false,
            failed: None,
            interrupt,
        };
        Ok(Stdin { chunks, head: Vec::new() })
    }

    /// The unpacked beginning: up to `bytes` when that much comes without a pause, at least the first line otherwise. With
    /// `patient` it waits a little for more, so that types are found from more than one record.
    ///
    /// # Errors
    /// The load was interrupted while nothing came.
    pub(crate) fn peek(&mut self, bytes: usize, patient: bool) -> Result<Vec<u8>, Failure> {
        let mut since_line = None;
        while self.head.len() < bytes && !self.chunks.ended {
            let has_lines = has_record(&self.head);
            if has_lines && !patient {
                break;
            }
            let began = *since_line.get_or_insert_with(Instant::now);
            if !has_lines {
                since_line = None;
            } else if began.elapsed() >= LOOK {
                break;
            }
            match self.chunks.receive(PATIENCE) {
                Ok(Some(chunk)) => self.head.extend_from_slice(&chunk),
                Ok(None) => {}
                Err(error) => self.chunks.failed = Some(error),
            }
            if self.chunks.failed.is_some() {
                break;
            }
            if self.chunks.interrupt.asked() {
                return Err(Failure::new(Exit::Interrupted, "interrupted before the input had a record"));
            }
        }
        if Packing::detect(&self.head) == Packing::Plain {
            return Ok(self.head[..self.head.len().min(bytes)].to_vec());
        }
        // What of the packed beginning can be unpacked by itself; an error is only its cut end.
        let mut unpacked = Vec::new();
        if let Ok(reader) = Packing::detect(&self.head).unpack(&self.head[..]) {
            let _ = reader.take(bytes as u64).read_to_end(&mut unpacked);
        }
        Ok(unpacked)
    }

    /// All of it, the part that was looked at included, and the means to know whether a read would wait.
    pub(crate) fn into_reader(self) -> Result<(Box<dyn Read + Send>, Waiting), Failure> {
        let waiting = Waiting(self.chunks.queued.clone());
        let packing = Packing::detect(&self.head);
        let all = Cursor::new(self.head).chain(self.chunks);
        let reader = packing
            .unpack(all)
            .map_err(|error| Failure::of_reading(format!("it cannot be unpacked: {error}"), &error))?;
        Ok((reader, waiting))
    }
}

/// Whether there are two lines: a header and a record, or two records.
fn has_record(head: &[u8]) -> bool {
    Packing::detect(head) != Packing::Plain || head.iter().filter(|byte| **byte == b'\n').nth(1).is_some()
}

impl Chunks {
    /// The next chunk, `None` when none came in time or no more come.
    fn receive(&mut self, patience: Duration) -> io::Result<Option<Vec<u8>>> {
        match self.receiver.recv_timeout(patience) {
            Ok(chunk) => {
                self.queued.fetch_sub(1, Ordering::AcqRel);
                let chunk = chunk?;
                self.ended = chunk.is_empty();
                Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                Ok(None)
            }
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(buf)?;
            // An interrupted load ends where its input is; a record that is cut there is left out by the feeder.
            if read > 0 || self.ended || self.interrupt.asked() {
                return Ok(read);
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if let Some(chunk) = self.receive(PATIENCE)? {
                self.current = Cursor::new(chunk);
            }
        }
    }
}
