use std::time::Duration;

use standpipe_log::{Log, LogError};

use crate::Cut;

/// How a log dies without being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: what it wrote, synced or not, is still in the page cache.
    Kill,
    /// The machine loses power: of what was not synced the disk keeps what the cut says.
    Power(Cut),
}

/// One place for one log, and the faults that the suite needs. Each case gets a fresh one.
///
/// A log that acknowledges before the disk has the record (`Periodic`, `Os`) is not what the suite is for: open it in
/// the mode in which a ticket means durable.
///
/// What a fixture cannot do it leaves as it is: the cases that need it say so in the suite's report.
/// [`MemFixture`](super::MemFixture) can do all of it for any log that is built on `Storage`.
pub trait LogFixture {
    /// The log under test.
    type Log: Log;

    /// Opens the log of this place: new the first time, with what is there later.
    ///
    /// # Errors
    /// Whatever the log's own opening gives, unchanged.
    fn open(&mut self) -> Result<Self::Log, LogError>;

    /// Lets the log die without closing it, and opens what is left. Must end the held state of
    /// [`hold_syncs`](LogFixture::hold_syncs), after the state of the disk was taken. `None` when the fixture cannot.
    fn crash(&mut self, log: Self::Log, crash: Crash) -> Option<Result<Self::Log, LogError>> {
        let _ = (log, crash);
        None
    }

    /// Lets the next sync of the open log fail. False when the fixture cannot.
    fn fail_next_sync(&mut self) -> bool {
        false
    }

    /// From now on syncs of the open log block. False when the fixture cannot.
    fn hold_syncs(&mut self) -> bool {
        false
    }

    /// Waits until a sync is held back; false when none came in time.
    fn sync_reached(&mut self, patience: Duration) -> bool {
        let _ = patience;
        false
    }

    /// Ends [`hold_syncs`](LogFixture::hold_syncs).
    fn release_syncs(&mut self) {}

    /// Leaves no room for more. False when the fixture cannot.
    fn fill_disk(&mut self) -> bool {
        false
    }

    /// Ends [`fill_disk`](LogFixture::fill_disk).
    fn make_room(&mut self) {}

    /// Damages the stored record with this payload, which is in the place once. The log is closed at this moment.
    /// False when the fixture cannot, or does not find it.
    fn damage(&mut self, payload: &[u8]) -> bool {
        let _ = payload;
        false
    }

    /// The largest record that the log takes, in bytes, if there is a limit that the suite may try.
    fn record_limit_bytes(&self) -> Option<u64> {
        None
    }

    /// How long a case waits for what must happen before it calls that broken.
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }
}
