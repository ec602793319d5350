use std::{
    fmt,
    sync::{Arc, MutexGuard},
};

use standpipe_log::{Log, LogError, LogId, Lsn, Record};

use super::{
    LogMistake, VecReader, VecStore, VecTicket,
    state::{Change, State},
};

/// A log in memory that keeps every duty of [`Log`]: the reference that the suite is tested with, and a second log for
/// tests of what builds on one. Not for use outside tests: nothing of it is on disk.
///
/// An append is made durable at once, in the caller's thread, unless [`VecStore::hold_syncs`] is in force.
///
/// ```
/// use standpipe_log::{Log, Lsn, Record, Ticket};
/// use standpipe_testkit::{VecLog, VecStore};
///
/// let store = VecStore::new();
/// let log = VecLog::open(&store)?;
/// log.append(Record::new(&[b"a row"]))?.wait()?;
/// log.close()?;
/// assert_eq!(VecLog::open(&store)?.end(), Lsn::new(2));
/// # Ok::<(), standpipe_log::LogError>(())
/// ```
pub struct VecLog {
    store: VecStore,
    life: u64,
}

impl VecLog {
    /// Opens the log of this store.
    ///
    /// # Errors
    /// [`LogError::InUse`] while another log of the store is open.
    pub fn open(store: &VecStore) -> Result<Self, LogError> {
        let mut state = store.shared.state();
        if state.owned && !state.has(LogMistake::SharesOwnership) {
            return Err(LogError::InUse { place: format!("a store in memory ({})", state.identity) });
        }
        let life = state.begin_life();
        drop(state);
        Ok(VecLog { store: store.clone(), life })
    }

    /// The state, when this log may still append to it.
    fn writable(&self) -> Result<MutexGuard<'_, State>, LogError> {
        let state = self.store.shared.state();
        if state.life != self.life || state.closed {
            return Err(LogError::Closed);
        }
        match &state.poisoned {
            Some(cause) => Err(LogError::Poisoned { cause: Arc::clone(cause) }),
            None => Ok(state),
        }
    }

    fn push(&self, mut state: MutexGuard<'_, State>, change: Change, lsn: Lsn) -> VecTicket {
        let slot = state.push(change, lsn);
        self.store.shared.notify(&state);
        VecTicket::new(lsn, slot)
    }
}

impl Log for VecLog {
    type Ticket = VecTicket;
    type Reader = VecReader;

    fn identity(&self) -> LogId {
        self.store.shared.state().identity
    }

    fn append(&self, record: Record<'_>) -> Result<VecTicket, LogError> {
        self.append_batch(&[record])
    }

    fn append_batch(&self, records: &[Record<'_>]) -> Result<VecTicket, LogError> {
        let mut state = self.writable()?;
        if records.is_empty() {
            return Err(LogError::Invalid("an empty batch has no record to number".to_owned()));
        }
        for record in records {
            check_size(&state, record.size_bytes())?;
        }
        make_room(&mut state, records.iter().map(Record::size_bytes).sum())?;
        let mut last = state.end;
        let mut numbered = Vec::with_capacity(records.len());
        for record in records {
            last = state.end;
            state.end = last.next();
            numbered.push((last, record.parts().concat()));
        }
        Ok(self.push(state, Change::Records(numbered), last))
    }

    fn pin(&self, key: &[u8], value: &[u8]) -> Result<VecTicket, LogError> {
        let mut state = self.writable()?;
        check_size(&state, key.len() + value.len())?;
        make_room(&mut state, key.len() + value.len())?;
        if value.is_empty() {
            state.pins.remove(key);
        } else {
            state.pins.insert(key.to_vec(), value.to_vec());
        }
        let lsn = state.end;
        Ok(self.push(state, Change::Pin(key.to_vec(), value.to_vec()), lsn))
    }

    fn pinned(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.store.shared.state().pins.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn start(&self) -> Lsn {
        let state = self.store.shared.state();
        let pending = state.pending.iter().find_map(|unit| match &unit.change {
            Change::Records(records) => records.first().map(|record| record.0),
            _ => None,
        });
        state.records.keys().next().copied().or(pending).unwrap_or(state.end)
    }

    fn end(&self) -> Lsn {
        self.store.shared.state().end
    }

    fn durable_end(&self) -> Lsn {
        self.store.shared.state().durable_end
    }

    fn follow(&self, from: Lsn) -> Result<VecReader, LogError> {
        let start = self.start();
        let mut state = self.store.shared.state();
        if from < state.removed_below && !state.has(LogMistake::JumpsTruncated) {
            return Err(LogError::Truncated { wanted: from, start });
        }
        let mut position = from;
        if state.has(LogMistake::LeavesOut) && start < from && from < state.durable_end {
            position = from.next();
        }
        state.slowest_reader = Some(state.slowest_reader.map_or(from, |slowest| slowest.min(from)));
        Ok(VecReader::new(self.store.clone(), self.life, position))
    }

    fn truncate_before(&self, lsn: Lsn) -> Result<(), LogError> {
        let mut state = self.store.shared.state();
        let lsn = if state.has(LogMistake::TruncatesOneMore) { lsn.next() } else { lsn };
        let kept = state.records.split_off(&lsn);
        if let Some((last, _)) = state.records.last_key_value() {
            state.removed_below = state.removed_below.max(last.next());
        }
        state.records = kept;
        if state.has(LogMistake::DropsPins) {
            state.pins.clear();
            state.durable_pins.clear();
        }
        Ok(())
    }

    fn advance_to(&self, lsn: Lsn) -> Result<(), LogError> {
        let mut state = self.writable()?;
        if lsn > state.end {
            state.end = lsn;
            self.push(state, Change::Advance, lsn);
        }
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.store.used_bytes()
    }

    fn close(&self) -> Result<(), LogError> {
        let mut state = self.store.shared.state();
        if state.life != self.life {
            return Ok(());
        }
        if !state.closed {
            state.sync();
            state.closed = true;
            state.owned = false;
            self.store.shared.notify(&state);
        }
        match &state.poisoned {
            Some(cause) => Err(LogError::Poisoned { cause: Arc::clone(cause) }),
            None => Ok(()),
        }
    }
}

impl Drop for VecLog {
    fn drop(&mut self) {
        // Nobody is left to tell; a waiting ticket was told by the sync.
        self.close().ok();
    }
}

impl fmt::Debug for VecLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VecLog").field("store", &self.store).finish_non_exhaustive()
    }
}

fn check_size(state: &State, size_bytes: usize) -> Result<(), LogError> {
    let (size_bytes, limit_bytes) = (size_bytes as u64, state.record_limit_bytes);
    if size_bytes > limit_bytes {
        return Err(LogError::TooLarge { size_bytes, limit_bytes });
    }
    Ok(())
}

fn make_room(state: &mut State, more_bytes: usize) -> Result<(), LogError> {
    let used = state.used_bytes();
    if let Some(capacity) = state.capacity_bytes
        && used + more_bytes as u64 > capacity
    {
        if state.has(LogMistake::FullIsFinal) {
            state.poisoned = Some("the disk was full once".into());
        }
        return Err(LogError::Full { what: format!("{used} of {capacity} bytes are used") });
    }
    let lag = state.slowest_reader.map_or(0, |reader| state.end.number().saturating_sub(reader.number()));
    if state.has(LogMistake::ReaderBlocksWriter) && lag > 250 {
        return Err(LogError::Full { what: format!("a reader is {lag} records behind") });
    }
    Ok(())
}
