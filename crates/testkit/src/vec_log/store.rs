use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use standpipe_log::LogId;

use super::{LogMistake, state::State};
use crate::{Crash, Cut, Random};

/// The place where a [`VecLog`](super::VecLog) keeps its records: the "disk" that outlives the log, and the switches
/// that make it fail. Clones share one place.
#[derive(Clone)]
pub struct VecStore {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) changed: Condvar,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the readers.
    pub(crate) fn notify(&self, state: &State) {
        if !state.has(LogMistake::NeverWakes) {
            self.changed.notify_all();
        }
    }
}

impl VecStore {
    /// The largest record of a new store, in bytes.
    pub const RECORD_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

    /// An empty place whose log has an identity that no other place of this process has.
    #[must_use]
    pub fn new() -> Self {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        Self::with_identity(LogId(u128::from(PLACES.fetch_add(1, Ordering::Relaxed))))
    }

    /// An empty place whose log has this identity.
    #[must_use]
    pub fn with_identity(identity: LogId) -> Self {
        let state = Mutex::new(State::new(identity, Self::RECORD_LIMIT_BYTES));
        VecStore { shared: Arc::new(Shared { state, changed: Condvar::new() }) }
    }

    /// Sets the largest record, in bytes.
    pub fn record_limit(&self, bytes: u64) {
        self.shared.state().record_limit_bytes = bytes;
    }

    /// Sets how many bytes all records together may take; `None` for no limit.
    pub fn capacity(&self, bytes: Option<u64>) {
        self.shared.state().capacity_bytes = bytes;
    }

    /// The bytes that records and pins take now.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.shared.state().used_bytes()
    }

    /// From now on nothing becomes durable.
    pub fn hold_syncs(&self) {
        self.shared.state().held = true;
    }

    /// Ends [`hold_syncs`](VecStore::hold_syncs): what waited becomes durable, in one sync.
    pub fn release_syncs(&self) {
        let mut state = self.shared.state();
        state.held = false;
        state.sync();
        self.shared.notify(&state);
    }

    /// The next sync fails.
    pub fn fail_next_sync(&self) {
        self.shared.state().fail_next_sync = true;
    }

    /// Damages the stored records that hold exactly these bytes. Returns false when there is none.
    pub fn damage(&self, payload: &[u8]) -> bool {
        let mut state = self.shared.state();
        let mut found = false;
        for stored in state.records.values_mut().filter(|stored| stored.payload == payload) {
            stored.damaged = true;
            found = true;
        }
        found
    }

    /// Ends the open log as a crash does: its tickets resolve as in doubt, its owner is gone. Of what was not durable a killed
    /// process loses nothing; a power cut keeps a leading part, as [`Cut`] says.
    pub fn crash(&self, crash: Crash) {
        let mut state = self.shared.state();
        let units = state.pending.len() as u64;
        let kept = match crash {
            Crash::Kill | Crash::Power(Cut::KeepAll | Cut::LoseNames) => units,
            Crash::Power(Cut::LoseUnsynced | Cut::LoseWrites) => 0,
            Crash::Power(Cut::Torn { .. }) => units.saturating_sub(1),
            Crash::Power(Cut::Subset { seed }) => Random::new(seed).below(units + 1),
        };
        state.crash(usize::try_from(kept).unwrap_or(usize::MAX), crash);
        self.shared.notify(&state);
    }

    /// Plants a mistake, to show that a test finds it.
    pub fn plant(&self, mistake: LogMistake) {
        self.shared.state().mistake = Some(mistake);
    }
}

impl Default for VecStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VecStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state();
        f.debug_struct("VecStore")
            .field("identity", &state.identity)
            .field("records", &state.records.len())
            .field("durable_end", &state.durable_end)
            .finish_non_exhaustive()
    }
}
