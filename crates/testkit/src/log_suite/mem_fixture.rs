use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use standpipe_log::{Log, LogError};

use super::{Crash, LogFixture};
use crate::{CallKind, Fault, MemStorage};

/// The fixture of any log that is built on `Storage`: it runs on a [`MemStorage`] and can do everything that the suite asks for.
///
/// `open` is given the storage; it is called once for each opening.
pub struct MemFixture<O> {
    storage: MemStorage,
    gate: Arc<Gate>,
    open: O,
    record_limit_bytes: Option<u64>,
}

impl<L: Log, O: FnMut(MemStorage) -> Result<L, LogError>> MemFixture<O> {
    /// A fresh place on an empty disk.
    pub fn new(open: O) -> Self {
        let mut fixture =
            MemFixture { storage: MemStorage::new(), gate: Arc::default(), open, record_limit_bytes: None };
        fixture.arm(MemStorage::new());
        fixture
    }

    /// Tells the suite the log's record limit, in bytes.
    #[must_use]
    pub fn with_record_limit(mut self, bytes: u64) -> Self {
        self.record_limit_bytes = Some(bytes);
        self
    }

    /// The disk as it is now. A crash puts another in its place.
    #[must_use]
    pub fn storage(&self) -> MemStorage {
        self.storage.clone()
    }

    fn arm(&mut self, storage: MemStorage) {
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        storage.on_call(move |call| {
            if matches!(call.kind, CallKind::SyncData | CallKind::SyncAll) {
                held.pass();
            }
        });
        self.storage = storage;
        self.gate = gate;
    }
}

impl<L: Log, O: FnMut(MemStorage) -> Result<L, LogError>> LogFixture for MemFixture<O> {
    type Log = L;

    fn open(&mut self) -> Result<L, LogError> {
        self.storage.clear_faults();
        (self.open)(self.storage.clone())
    }

    fn crash(&mut self, log: L, crash: Crash) -> Option<Result<L, LogError>> {
        let after = match crash {
            Crash::Kill => self.storage.process_killed(),
            Crash::Power(cut) => self.storage.power_cut(cut),
        };
        // The old log must neither reach the new disk nor believe that its last sync went through.
        self.storage.power_off();
        self.gate.hold(false);
        drop(log);
        self.arm(after);
        Some(self.open())
    }

    fn fail_next_sync(&mut self) -> bool {
        self.storage.fail_nth(CallKind::SyncData, 1, Fault::EIO);
        self.storage.fail_nth(CallKind::SyncAll, 1, Fault::EIO);
        true
    }

    fn hold_syncs(&mut self) -> bool {
        self.gate.hold(true);
        true
    }

    fn sync_reached(&mut self, patience: Duration) -> bool {
        self.gate.reached(patience)
    }

    fn release_syncs(&mut self) {
        self.gate.hold(false);
    }

    fn fill_disk(&mut self) -> bool {
        self.storage.capacity(self.storage.used_bytes());
        true
    }

    fn make_room(&mut self) {
        self.storage.capacity(u64::MAX);
    }

    fn damage(&mut self, payload: &[u8]) -> bool {
        let mut found = false;
        for name in self.storage.names() {
            let contents = self.storage.contents(&name).unwrap_or_default();
            let places = contents.windows(payload.len().max(1)).enumerate();
            for (offset, _) in places.filter(|(_, window)| *window == payload) {
                let middle = offset + payload.len() / 2;
                found |= self.storage.damage(&name, middle as u64, &[contents[middle] ^ 0x10]);
            }
        }
        found
    }

    fn record_limit_bytes(&self) -> Option<u64> {
        self.record_limit_bytes
    }
}

impl<O> Drop for MemFixture<O> {
    fn drop(&mut self) {
        // A case that panicked while syncs were held must not leave a log thread behind that waits for ever.
        self.gate.hold(false);
    }
}

impl<O> fmt::Debug for MemFixture<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemFixture").field("storage", &self.storage).finish_non_exhaustive()
    }
}

/// How long a sync is held at most: a case that panicked before it released must not hang on the log's thread.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// Where held syncs wait.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    held: bool,
    waiting: usize,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, held: bool) {
        self.state().held = held;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state();
        state.waiting += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(state, HOLD_MAX, |state| state.held);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting -= 1;
    }

    fn reached(&self, patience: Duration) -> bool {
        let state = self.state();
        let waited = self.changed.wait_timeout_while(state, patience, |state| state.waiting == 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting > 0
    }
}
