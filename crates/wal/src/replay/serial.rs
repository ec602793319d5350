use std::{io, sync::Arc};

use standpipe_log::{LogError, Lsn, Storage};

use crate::{
    cursor::{Cursor, Standing, Step},
    extent::{Entry, Readable},
    frame,
    mapping::Mapping,
    segment,
    shared::Shared,
};

/// Goes over the frames of a log to its end, one after the other. Every verdict on what is in the log is made here:
/// whoever reads faster comes back to this where anything is in doubt.
pub(crate) struct Serial<S: Storage> {
    shared: Arc<Shared<S>>,
    pub(crate) sequence: u64,
    file: Option<S::File>,
    /// Frames of this segment end here at the latest, as far as is known.
    limit: u64,
    cursor: Cursor,
    /// How sealed segments are looked at as memory, where they are.
    map: Option<Map<S::File>>,
}

/// Makes so many bytes of a file memory.
pub(crate) type Map<F> = fn(&F, u64) -> io::Result<Mapping>;

impl<S: Storage> Serial<S> {
    /// At the start of a segment.
    pub(crate) fn new(shared: Arc<Shared<S>>, entry: &Entry, map: Option<Map<S::File>>) -> Self {
        let cursor = Cursor::new(entry.incarnation, entry.base);
        Serial { shared, sequence: entry.sequence, file: None, limit: 0, cursor, map }
    }

    /// Goes elsewhere.
    pub(crate) fn move_to(&mut self, sequence: u64, at: Standing) {
        if self.sequence != sequence {
            (self.file, self.limit) = (None, 0);
        }
        self.sequence = sequence;
        self.cursor = Cursor::within(at, Vec::new());
    }

    /// The number that the next record gets at least.
    pub(crate) fn lsn(&self) -> Lsn {
        self.cursor.lsn
    }

    /// The payload of the frame that the last step found.
    pub(crate) fn payload(&self) -> &[u8] {
        self.cursor.payload()
    }

    /// The next frame and its length on disk; `None` at the end of the log.
    pub(crate) fn step(&mut self) -> Result<Option<(frame::Header, u64)>, LogError> {
        loop {
            let at = self.cursor.offset;
            if at >= self.limit {
                if !self.go_on()? {
                    return Ok(None);
                }
                continue;
            }
            let file = match &self.file {
                Some(file) => file,
                None => {
                    let file = open(&self.shared, self.sequence)?;
                    // Where there is none, it is read.
                    if let Some(map) = self.map.filter(|_| self.shared.extent.is_sealed(self.sequence))
                        && let Ok(mapping) = map(&file, self.limit)
                    {
                        self.cursor.look_at(mapping);
                    }
                    self.file.insert(file)
                }
            };
            match self.cursor.step(file, self.limit) {
                Ok(Step::Frame(frame)) => return Ok(Some((frame, self.cursor.offset - at))),
                Ok(Step::End) => {}
                Ok(Step::Bad(fault)) => return Err(self.corrupt(fault.what())),
                Err(error) => return Err(unreadable(&self.shared, self.sequence, error)),
            }
        }
    }

    /// Finds out how far this segment goes, or enters the next one. `false` at the end of the log.
    fn go_on(&mut self) -> Result<bool, LogError> {
        match self.shared.extent.readable(self.sequence, self.cursor.offset) {
            Readable::UpTo(limit) => self.limit = limit,
            Readable::Next(next, chain) => {
                if self.cursor.chain != chain {
                    return Err(self.corrupt("the segment does not end as its successor says"));
                }
                (self.sequence, self.file, self.limit) = (next.sequence, None, 0);
                self.cursor.enter(next.incarnation, next.base);
            }
            Readable::CaughtUp(_) => return Ok(false),
            Readable::Gone(start) => return Err(LogError::Truncated { wanted: self.cursor.lsn, start }),
            Readable::Ended(why) => return Err(why),
        }
        Ok(true)
    }

    fn corrupt(&self, what: &str) -> LogError {
        LogError::Corrupt {
            segment: segment::name(self.sequence),
            offset: self.cursor.offset,
            lsn: self.cursor.lsn,
            what: what.to_owned(),
        }
    }
}

pub(crate) fn open<S: Storage>(shared: &Shared<S>, sequence: u64) -> Result<S::File, LogError> {
    let name = segment::name(sequence);
    let opened = shared.storage.open(&name);
    opened.map_err(|error| LogError::io(format!("opening {name} in {}", shared.storage.describe()), error))
}

fn unreadable<S: Storage>(shared: &Shared<S>, sequence: u64, error: io::Error) -> LogError {
    let name = segment::name(sequence);
    LogError::io(format!("reading {name} in {}", shared.storage.describe()), error)
}

/// How many bytes of frames there are from a segment on.
pub(crate) fn bytes_from<S: Storage>(shared: &Shared<S>, sequence: u64) -> u64 {
    let mut bytes = 0;
    for sequence in sequence.. {
        match shared.extent.readable(sequence, 0) {
            Readable::UpTo(limit) => bytes += limit.saturating_sub(segment::HEADER_BYTES),
            _ => break,
        }
    }
    bytes
}
