use std::sync::Mutex;

use standpipe_log::{LogError, Storage};

use crate::lock::lock;

/// What is known about the names in the log's directory.
///
/// One failed sync of the directory ends it: which names are durable is unknown from then on, and a later sync may say
/// `Ok` although it covers nothing of what the failed one should have. Going on could leave a gap among the segments,
/// which looks like damage.
#[derive(Debug, Default)]
pub(crate) struct Names {
    lost: Mutex<Option<LogError>>,
}

impl Names {
    /// Makes every change of names so far durable.
    pub(crate) fn sync<S: Storage>(&self, storage: &S, why: &str) -> Result<(), LogError> {
        self.change(storage, why, |_| Ok(()))
    }

    /// Makes a change of names, and makes it durable; nobody else syncs names meanwhile.
    pub(crate) fn change<S: Storage>(
        &self,
        storage: &S,
        why: &str,
        change: impl FnOnce(&S) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let mut lost = lock(&self.lost);
        if let Some(error) = &*lost {
            return Err(error.clone());
        }
        change(storage)?;
        storage.sync_dir().map_err(|error| {
            let error = LogError::io(format!("syncing {} {why}", storage.describe()), error);
            *lost = Some(error.clone());
            error
        })
    }

    /// Why nothing is known any more.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        lock(&self.lost).clone().map_or(Ok(()), Err)
    }
}
