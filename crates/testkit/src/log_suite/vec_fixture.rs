use std::time::Duration;

use standpipe_log::LogError;

use super::{Crash, LogFixture};
use crate::{LogMistake, VecLog, VecStore};

/// The fixture of [`VecLog`].
#[derive(Debug)]
pub struct VecFixture {
    store: VecStore,
    patience: Duration,
}

impl VecFixture {
    /// A fresh place.
    #[must_use]
    pub fn new() -> Self {
        let store = VecStore::new();
        store.record_limit(Self::RECORD_LIMIT_BYTES);
        VecFixture { store, patience: Duration::from_secs(20) }
    }

    /// A fresh place whose log has a mistake planted in it, for which nobody waits longer than `patience`.
    #[must_use]
    pub fn with_mistake(mistake: LogMistake, patience: Duration) -> Self {
        let fixture = VecFixture { patience, ..Self::new() };
        fixture.store.plant(mistake);
        fixture
    }

    const RECORD_LIMIT_BYTES: u64 = 64 * 1024;
}

impl Default for VecFixture {
    fn default() -> Self {
        Self::new()
    }
}

impl LogFixture for VecFixture {
    type Log = VecLog;

    fn open(&mut self) -> Result<VecLog, LogError> {
        VecLog::open(&self.store)
    }

    fn crash(&mut self, log: VecLog, crash: Crash) -> Option<Result<VecLog, LogError>> {
        self.store.crash(crash);
        drop(log);
        Some(self.open())
    }

    fn fail_next_sync(&mut self) -> bool {
        self.store.fail_next_sync();
        true
    }

    fn hold_syncs(&mut self) -> bool {
        self.store.hold_syncs();
        true
    }

    fn sync_reached(&mut self, _patience: Duration) -> bool {
        true
    }

    fn release_syncs(&mut self) {
        self.store.release_syncs();
    }

    fn fill_disk(&mut self) -> bool {
        self.store.capacity(Some(self.store.used_bytes()));
        true
    }

    fn make_room(&mut self) {
        self.store.capacity(None);
    }

    fn damage(&mut self, payload: &[u8]) -> bool {
        self.store.damage(payload)
    }

    fn record_limit_bytes(&self) -> Option<u64> {
        Some(Self::RECORD_LIMIT_BYTES)
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}
