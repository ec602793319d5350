use std::{
    fmt, io,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use standpipe_log::{Entry, LogError, Lsn, Reader, Storage};

use crate::{
    cursor::{Cursor, Step},
    extent::{self, Readable},
    record::{Item, Walk},
    segment,
    shared::Shared,
};

/// Follows a [`Wal`](crate::Wal) with file handles and a buffer of its own; takes no lock that a writer holds while it
/// writes. The buffer is as large as the largest frame (1 MiB, or a larger record or batch).
pub struct WalReader<S: Storage> {
    shared: Arc<Shared<S>>,
    wanted: Lsn,
    sequence: u64,
    file: Option<S::File>,
    cursor: Cursor,
    /// The records of the cursor's frame.
    walk: Walk,
}

impl<S: Storage> WalReader<S> {
    pub(crate) fn new(shared: Arc<Shared<S>>, from: Lsn, entry: extent::Entry) -> Self {
        WalReader {
            shared,
            wanted: from,
            sequence: entry.sequence,
            file: None,
            cursor: Cursor::new(entry.incarnation, entry.base),
            walk: Walk::new(0, entry.base),
        }
    }

    /// The next wanted record of the frame at hand.
    fn in_frame(&mut self) -> Result<Option<(Lsn, Range<usize>)>, LogError> {
        while let Some(item) = self.walk.next(self.cursor.payload()) {
            match item {
                Ok(Item::Data { lsn, bytes }) if lsn >= self.wanted => return Ok(Some((lsn, bytes))),
                Ok(_) => {}
                Err(what) => return Err(self.corrupt(what)),
            }
        }
        Ok(None)
    }

    /// Reads one frame, or goes to the next segment.
    fn read(&mut self, limit: u64) -> Result<(), LogError> {
        if self.file.is_none() {
            let name = segment::name(self.sequence);
            let opened = self.shared.storage.open(&name);
            match opened {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return self.relocate(),
                Err(error) => {
                    let doing = format!("opening {name} in {}", self.shared.storage.describe());
                    return Err(LogError::io(doing, error));
                }
            }
        }
        let Some(file) = &self.file else { return Ok(()) };
        match self.cursor.step(file, limit) {
            Ok(Step::Frame(frame)) => self.walk = Walk::new(frame.records, frame.base),
            Ok(Step::End) => {}
            Ok(Step::Bad(fault)) => {
                // The file may have become another segment since.
                return match self.shared.extent.readable(self.sequence, self.cursor.offset) {
                    Readable::Gone(_) => self.relocate(),
                    _ => Err(self.corrupt(fault.what())),
                };
            }
            Err(error) => {
                let name = segment::name(self.sequence);
                return Err(LogError::io(
                    format!("reading {name} in {}", self.shared.storage.describe()),
                    error,
                ));
            }
        }
        Ok(())
    }

    fn enter(&mut self, next: extent::Entry, chain: u32) -> Result<(), LogError> {
        // Numbers that go back would make the wanted ones look like old ones, and leave them out.
        if self.cursor.chain != chain || self.cursor.lsn > next.base {
            return Err(self.corrupt("the segment does not end as its successor says"));
        }
        self.sequence = next.sequence;
        self.file = None;
        self.cursor.enter(next.incarnation, next.base);
        self.walk = Walk::new(0, next.base);
        Ok(())
    }

    /// The segment is gone. What is wanted may be in a later one all the same: a reader that waits at the end of the log
    /// is in a segment that holds nothing for it.
    fn relocate(&mut self) -> Result<(), LogError> {
        let found = self.shared.extent.locate(self.wanted)?;
        let Some(entry) = found.filter(|entry| entry.sequence > self.sequence) else {
            return Err(LogError::Truncated { wanted: self.wanted, start: self.shared.extent.start() });
        };
        self.sequence = entry.sequence;
        self.file = None;
        self.cursor.enter(entry.incarnation, entry.base);
        self.walk = Walk::new(0, entry.base);
        Ok(())
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

impl<S: Storage> Reader for WalReader<S> {
    fn next(&mut self, patience: Duration) -> Result<Option<Entry<'_>>, LogError> {
        // Looking at the clock costs as much as a record, so it is looked at only by whoever has to wait.
        let mut deadline = None;
        let (lsn, bytes) = loop {
            if let Some(found) = self.in_frame()? {
                break found;
            }
            match self.shared.extent.readable(self.sequence, self.cursor.offset) {
                Readable::UpTo(limit) => self.read(limit)?,
                Readable::Next(next, chain) => self.enter(next, chain)?,
                Readable::Gone(_) => self.relocate()?,
                Readable::Ended(why) => return Err(why),
                Readable::CaughtUp(end) => {
                    // Numbers that were skipped: a log that lets go of them takes nothing from this reader.
                    self.wanted = self.wanted.max(end);
                    // A patience beyond the clock's range is for ever.
                    let deadline = *deadline.get_or_insert_with(|| Instant::now().checked_add(patience));
                    if patience.is_zero() || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                        return Ok(None);
                    }
                    self.shared.extent.wait(self.sequence, self.cursor.offset, deadline);
                }
            }
        };
        self.wanted = lsn.next();
        Ok(Some(Entry { lsn, payload: &self.cursor.payload()[bytes] }))
    }

    fn position(&self) -> Lsn {
        self.wanted
    }
}

impl<S: Storage> fmt::Debug for WalReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalReader").field("position", &self.wanted).finish_non_exhaustive()
    }
}
