use std::{fmt, path::Path};

use standpipe_log::{Log, LogError, LogId, Lsn, Storage};

use crate::{dir::Dir, open::Recovery, replay::Replay, settings::Settings, wal::Wal};

/// A log that was opened to be replayed: it can be read and nothing else, until [`finish`](Recovering::finish) gives
/// the log for writing.
///
/// Applying a record must not log it again. While a log is being replayed there is no value to log to, so that this
/// is a matter of types and not of a flag:
///
/// ```
/// use standpipe_wal::{Log, Record, Settings, Ticket, Wal};
///
/// # let place = tempfile::tempdir()?;
/// # let path = place.path();
/// # let log = Wal::open(path, Settings::default())?;
/// # log.append(Record::new(&[b"7"]))?.wait()?;
/// # drop(log);
/// let mut sum = 0;
/// let recovering = Wal::recover(path, Settings::default())?;
/// recovering.replay(recovering.start()).each(|entry| {
///     sum += entry.payload.len();
///     Ok::<(), std::io::Error>(())
/// })?;
/// let log = recovering.finish();
/// log.append(Record::new(&[b"more"]))?.wait()?;
/// # assert_eq!(sum, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Appending while replaying does not compile:
///
/// ```compile_fail,E0599
/// use standpipe_wal::{Log, Record, Settings, Wal};
///
/// let recovering = Wal::recover("somewhere", Settings::default()).unwrap();
/// recovering.append(Record::new(&[b"again"])).unwrap();
/// ```
///
/// Nor does ending the replay from within it:
///
/// ```compile_fail,E0505
/// use standpipe_wal::{Settings, Wal};
///
/// let recovering = Wal::recover("somewhere", Settings::default()).unwrap();
/// let replay = recovering.replay(recovering.start());
/// let log = recovering.finish();
/// replay.each(|_| Ok::<(), std::io::Error>(())).unwrap();
/// ```
///
/// Dropping it closes the log. An error or a panic of what a replay calls leaves it as it was: it can be replayed
/// again, finished, or dropped.
#[must_use = "dropping it closes the log"]
pub struct Recovering<S: Storage = Dir> {
    log: Wal<S>,
}

impl Wal<Dir> {
    /// Opens the log in a directory for replay, as [`open`](Wal::open) does. Blocks.
    ///
    /// # Errors
    /// As [`open_in`](Wal::open_in).
    pub fn recover(path: impl AsRef<Path>, settings: Settings) -> Result<Recovering, LogError> {
        Wal::open(path, settings).map(|log| Recovering { log })
    }
}

impl<S: Storage> Wal<S> {
    /// Opens the log in any storage for replay. Blocks.
    ///
    /// # Errors
    /// As [`open_in`](Wal::open_in).
    pub fn recover_in(storage: S, settings: Settings) -> Result<Recovering<S>, LogError> {
        Wal::open_in(storage, settings).map(|log| Recovering { log })
    }
}

impl<S: Storage> Recovering<S> {
    /// A replay of every record at or above `from`; see [`start`](Recovering::start) for all there are.
    pub fn replay(&self, from: Lsn) -> Replay<'_, S> {
        Replay::new(&self.log.shared, from)
    }

    /// Ends the replay and gives the log for writing.
    #[must_use = "dropping it closes the log"]
    pub fn finish(self) -> Wal<S> {
        self.log
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        self.log.recovery()
    }

    /// The identity drawn when this log was made.
    #[must_use]
    pub fn identity(&self) -> LogId {
        self.log.identity()
    }

    /// The lowest number that can be replayed; equal to [`end`](Recovering::end) when there is none.
    #[must_use]
    pub fn start(&self) -> Lsn {
        self.log.start()
    }

    /// The number that the first record after the replay will get.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.log.end()
    }

    /// Every pinned key and its latest value, ordered by key. Pins are no records: no replay delivers them.
    #[must_use]
    pub fn pinned(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.log.pinned()
    }
}

impl<S: Storage> fmt::Debug for Recovering<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovering").field("log", &self.log).finish()
    }
}
