use standpipe_core::{Error, LetterId, TableName, Target};

use super::patience::Patience;

/// Whether a commit of unknown outcome, which was to take these letters out for good, happened: then all of them are gone,
/// else they are there. Taking them out and rolling back waits for a commit that is still under way; reading would not.
///
/// Where another took all of them out instead, it is said to have happened: what is left to do is the same, nothing.
pub(crate) async fn is_committed(
    target: &dyn Target,
    table: &TableName,
    letters: &[LetterId],
    patience: &mut Patience<'_>,
    doubt: &Error,
) -> Result<bool, Error> {
    tracing::warn!(error = %doubt, "the outcome of a commit is unknown; looking whether its dead letters are there");
    loop {
        let there = async {
            let mut branch = target.begin(&[], None).await?;
            let there = branch.withdraw(table, letters).await;
            // One that fails has lost its connection, and the target undoes it by itself.
            let _ = branch.rollback().await;
            there
        };
        let error = match there.await {
            Ok(there) => return Ok(there == 0),
            Err(error) => error,
        };
        if let Err(error) = patience.pause(error).await {
            let what = "the outcome of a commit is unknown, and the target could not be asked; run it again: whether the \
                        letters are still there tells";
            return Err(Error::in_doubt(what).with_source(error));
        }
    }
}
