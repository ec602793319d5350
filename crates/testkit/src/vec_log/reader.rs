use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use standpipe_log::{Entry, LogError, Lsn, Reader};

use super::{
    LogMistake, VecStore,
    state::{Change, State, Stored},
};

/// The reader of a [`VecLog`](super::VecLog).
pub struct VecReader {
    store: VecStore,
    life: u64,
    position: Lsn,
    payload: Vec<u8>,
}

impl VecReader {
    pub(crate) fn new(store: VecStore, life: u64, position: Lsn) -> Self {
        VecReader { store, life, position, payload: Vec::new() }
    }

    /// The record at or above the place, or why there will be none; `None` while there may be one later.
    fn look(&self, state: &State) -> Result<Option<(Lsn, Vec<u8>)>, LogError> {
        if state.life != self.life || (state.closed && state.has(LogMistake::ForgetsAtClose)) {
            return Err(LogError::Closed);
        }
        if self.position < state.removed_below && !state.has(LogMistake::JumpsTruncated) {
            let start = state.records.keys().next().copied().unwrap_or(state.end);
            return Err(LogError::Truncated { wanted: self.position, start });
        }
        for (lsn, stored) in state.records.range(self.position..) {
            if !stored.damaged {
                return Ok(Some((*lsn, stored.payload.clone())));
            }
            if !state.has(LogMistake::SkipsDamage) {
                return Err(corrupt(*lsn, stored));
            }
        }
        if state.has(LogMistake::ShowsUndurable)
            && let Some(found) = undurable(state, self.position)
        {
            return Ok(Some(found));
        }
        match &state.poisoned {
            Some(cause) => Err(LogError::Poisoned { cause: Arc::clone(cause) }),
            None if state.closed => Err(LogError::Closed),
            None => Ok(None),
        }
    }
}

impl Reader for VecReader {
    fn next(&mut self, patience: Duration) -> Result<Option<Entry<'_>>, LogError> {
        let deadline = Instant::now().checked_add(patience);
        let shared = Arc::clone(&self.store.shared);
        let mut state = shared.state();
        let (lsn, payload) = loop {
            if let Some(found) = self.look(&state)? {
                break found;
            }
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => Duration::MAX,
            };
            if left.is_zero() {
                return Ok(None);
            }
            state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(state);
        self.position = lsn.next();
        self.payload = payload;
        Ok(Some(Entry { lsn, payload: &self.payload }))
    }

    fn position(&self) -> Lsn {
        self.position
    }
}

impl fmt::Debug for VecReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VecReader").field("position", &self.position).finish_non_exhaustive()
    }
}

fn corrupt(lsn: Lsn, stored: &Stored) -> LogError {
    LogError::Corrupt {
        segment: "memory".to_owned(),
        offset: lsn.number(),
        lsn,
        what: format!("a damaged record of {} bytes", stored.payload.len()),
    }
}

fn undurable(state: &State, from: Lsn) -> Option<(Lsn, Vec<u8>)> {
    let records = state.pending.iter().filter_map(|unit| match &unit.change {
        Change::Records(records) => Some(records),
        _ => None,
    });
    records.flatten().find(|(lsn, _)| *lsn >= from).cloned()
}
