use standpipe_log::{Entry, Storage};

use super::{
    Replay, ReplayError, Replayed,
    pile::{Pile, Shelf},
};

impl<S: Storage> Replay<'_, S> {
    /// Applies one record after the other, on the caller's thread. Allocates nothing for a record.
    ///
    /// # Errors
    /// [`ReplayError::Apply`] with the first error of `apply`: every record below it was applied, none above.
    /// [`ReplayError::Log`]: every record before the failure was applied.
    ///
    /// # Panics
    /// Where `apply` does.
    pub fn each<E>(
        self,
        mut apply: impl FnMut(&Entry<'_>) -> Result<(), E>,
    ) -> Result<Replayed, ReplayError<E>> {
        self.entries(|entry| apply(entry).map_err(|error| ReplayError::Apply { lsn: entry.lsn, error }))
    }

    /// Applies records in batches, on the caller's thread: each as large as [`batch`](Replay::batch) allows, the last
    /// one of what is left. A batch is not what was appended as one, and is never empty.
    ///
    /// # Errors
    /// As [`each`](Replay::each). The number is that of the batch's first record: what of the batch was applied,
    /// the caller knows. Before damage is reported, what came before it is applied.
    ///
    /// # Panics
    /// Where `apply` does.
    pub fn batches<E>(
        self,
        mut apply: impl FnMut(&[Entry<'_>]) -> Result<(), E>,
    ) -> Result<Replayed, ReplayError<E>> {
        let (records_max, bytes_max) = (self.batch_records, self.batch_bytes);
        let (mut pile, mut shelf) = (Pile::default(), Shelf::default());
        let mut flush = |pile: &mut Pile| {
            let Some(lsn) = pile.first() else { return Ok(()) };
            let applied = pile.show(&mut shelf, &mut apply);
            pile.clear();
            applied.map_err(|error| ReplayError::Apply { lsn, error })
        };
        let replayed = self.entries(|entry| {
            if pile.len() == records_max || pile.content_bytes() + entry.payload.len() > bytes_max {
                flush(&mut pile)?;
            }
            pile.push(entry);
            Ok(())
        });
        if !matches!(replayed, Err(ReplayError::Apply { .. })) {
            flush(&mut pile)?;
        }
        replayed
    }
}
