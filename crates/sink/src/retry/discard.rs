use std::ops::ControlFlow;

use standpipe_core::{DeadLetter, Error, ErrorKind, LetterId, LetterPage, TableName, Target};

use super::{
    LetterFilter,
    attempt::uncommitted,
    check_target,
    patience::{Patience, default_retry},
    resolve::is_committed,
};

/// Letters of one commit.
const LETTERS: u64 = 10_000;
/// Bytes of their rows, after which a commit takes no further one: they are read although nobody looks at them.
const BYTES: u64 = 4 << 20;

/// How many dead letters were thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// The letters.
    pub letters: u64,
}

/// Throws dead letters away, with their rows, page by page. `told` hears of every commit, and breaks off between two of
/// them.
///
/// # Errors
/// As [`retry_dead_letters`](super::retry_dead_letters).
///
/// # Cancel safety
/// A future that is dropped has thrown away the pages before.
pub async fn discard_dead_letters(
    target: &dyn Target,
    table: &TableName,
    filter: &LetterFilter,
    mut told: impl FnMut(&Discarded) -> ControlFlow<()>,
) -> Result<Discarded, Error> {
    check_target(target)?;
    let retry = default_retry();
    let mut patience = Patience::new(&retry);
    let mut so_far = Discarded::default();
    let mut after = None;
    loop {
        let page = LetterPage { after: after.clone(), letters_max: LETTERS, bytes_max: BYTES };
        let letters = match target.dead_letters(table, &page).await {
            Ok(letters) => letters,
            Err(error) => {
                patience.pause(error).await?;
                continue;
            }
        };
        let Some(last) = letters.last().map(DeadLetter::id) else { return Ok(so_far) };
        let chosen = letters.iter().filter(|letter| filter.takes(letter));
        let ids: Vec<LetterId> = chosen.map(DeadLetter::id).collect();
        match discard(target, table, &ids, &mut patience).await {
            Ok(count) => {
                patience.renew();
                so_far.letters += count;
                after = Some(last);
                if told(&so_far).is_break() {
                    return Ok(so_far);
                }
            }
            Err(error) if error.kind() == ErrorKind::InDoubt => return Err(error),
            Err(error) => patience.pause(error).await?,
        }
    }
}

async fn discard(
    target: &dyn Target,
    table: &TableName,
    ids: &[LetterId],
    patience: &mut Patience<'_>,
) -> Result<u64, Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    let mut branch = target.begin(&[], None).await.map_err(uncommitted)?;
    let count = branch.withdraw(table, ids).await.map_err(uncommitted)?;
    match branch.commit().await {
        Ok(()) => Ok(count),
        Err(error) if error.kind() == ErrorKind::InDoubt => {
            match is_committed(target, table, ids, patience, &error).await? {
                true => Ok(count),
                false => Err(Error::retry(format!("the commit did not happen: {error}"))),
            }
        }
        Err(error) => Err(error),
    }
}
