use standpipe_core::{Branch, DeadLetter, Error, ErrorKind, LetterId, Target};

use super::{LetterRetry, page::Page, patience::Patience, resolve::is_committed};

/// How an attempt ended that did not fail.
pub(crate) enum Outcome {
    /// Committed; these were refused again.
    Done(Vec<DeadLetter>),
    /// Another took some of the letters out since they were read. Nothing was done.
    Overtaken,
}

/// Takes the page's letters out, writes their rows and keeps again what is refused, in one transaction. An error says
/// `InDoubt` only where it stays unknown whether that was committed.
pub(crate) async fn attempt(
    target: &dyn Target,
    retry: &LetterRetry,
    page: &Page,
    patience: &mut Patience<'_>,
) -> Result<Outcome, Error> {
    if page.letters.is_empty() {
        return Ok(Outcome::Done(Vec::new()));
    }
    let mut branch = target.begin(&[], None).await.map_err(uncommitted)?;
    let refused = match fill(&mut *branch, retry, page).await {
        Ok(Some(refused)) => refused,
        ended => {
            // A rollback that fails has lost its connection, and the target undoes the branch by itself.
            if let Err(error) = branch.rollback().await {
                tracing::debug!(%error, "rolling back");
            }
            return ended.map(|_| Outcome::Overtaken).map_err(uncommitted);
        }
    };
    let Err(error) = branch.commit().await else { return Ok(Outcome::Done(refused)) };
    if error.kind() != ErrorKind::InDoubt {
        return Err(error);
    }
    let gone: Vec<LetterId> = {
        let mut kept = refused.iter().map(DeadLetter::id).peekable();
        let ids = page.letters.iter().map(DeadLetter::id);
        ids.filter(|id| kept.next_if_eq(id).is_none()).collect()
    };
    // Where all were refused again, the commit changed reasons only: it is made once more.
    if !gone.is_empty() && is_committed(target, &retry.letters, &gone, patience, &error).await? {
        return Ok(Outcome::Done(refused));
    }
    Err(Error::retry(format!("the commit did not happen: {error}")))
}

/// The letters that are refused again, in the order of the page's; `None` when it does not have the letters any more.
async fn fill(
    branch: &mut dyn Branch,
    retry: &LetterRetry,
    page: &Page,
) -> Result<Option<Vec<DeadLetter>>, Error> {
    let ids: Vec<LetterId> = page.letters.iter().map(DeadLetter::id).collect();
    if branch.withdraw(&retry.letters, &ids).await? != ids.len() as u64 {
        return Ok(None);
    }
    let mut refused = page.refused.clone();
    for load in &page.loads {
        for reject in branch.write(&load.batch).await? {
            let place = load.rows.get(reject.block).and_then(|rows| rows.get(reject.row as usize));
            let place = *place.ok_or_else(|| {
                let what = format!(
                    "the target refused row {} of block {}, which it was not given: {}",
                    reject.row, reject.block, reject.reason
                );
                Error::new(ErrorKind::Corrupt, what)
            })?;
            refused.push((place, page.again(place, reject.column, reject.code, reject.reason)));
        }
    }
    refused.sort_by_key(|(place, _)| *place);
    refused.dedup_by_key(|(place, _)| *place);
    let refused: Vec<DeadLetter> = refused.into_iter().map(|(_, letter)| letter).collect();
    if !refused.is_empty() {
        branch.dead_letter(&retry.letters, &refused).await?;
    }
    Ok(Some(refused))
}

/// What a call said that cannot have committed anything: an unknown outcome of it is none, for the branch is rolled back.
pub(crate) fn uncommitted(error: Error) -> Error {
    match error.kind() {
        ErrorKind::InDoubt => Error::retry(error.to_string()).with_source(error),
        _ => error,
    }
}
