use std::{sync::Arc, time::Instant};

use standpipe_core::{Advance, Batch, Branch, Claim, DeadLetter, Error, ErrorKind, Resolution};

use crate::{
    Applied, DeadLetters, SinkError,
    dead_letters,
    item::Item,
    shared::Shared,
    stream::LaneState,
};

/// The batch of one lane, as part of a commit. The items hold their memory until the part is dropped.
pub(crate) struct Part<'a> {
    pub(crate) items: &'a [Item],
}

impl Part<'_> {
    pub(crate) fn lane(&self) -> &Arc<LaneState> {
        &self.items[0].lane
    }

    fn last(&self) -> &Item {
        &self.items[self.items.len() - 1]
    }

    fn advance(&self) -> Advance {
        let last = self.last();
        Advance {
            position: last.end,
            source_position: last.source_position.to_string(),
            complete: last.complete,
        }
    }

    fn batch(&self) -> Batch {
        let lane = self.lane();
        Batch {
            lane: lane.id.clone(),
            destination: lane.destination.clone(),
            blocks: self.items.iter().map(|item| item.block.clone()).collect(),
        }
    }
}

/// How an attempt ended that did not commit.
pub(crate) enum Stopped {
    /// Nothing happened; try again after a pause.
    Retry(Error),
    /// These lanes can never be committed. `committed`: the attempt itself was, before the lanes were lost.
    Lost { error: SinkError, committed: bool },
}

/// What one lane's batch came to.
struct Outcome {
    rows: u64,
    dead_lettered: u64,
}

/// Applies the parts in one transaction: rows, dead letters, positions. Publishes what was applied.
///
/// The parts come in the order of their lanes' ids, so that two owners never wait on each other.
pub(crate) async fn attempt(shared: &Shared, parts: &[Part<'_>]) -> Result<(), Stopped> {
    let claims: Vec<Claim> = parts.iter().map(|part| part.lane().claim().clone()).collect();
    let mut branch =
        shared.target.begin(&claims.iter().collect::<Vec<_>>(), None).await.map_err(Stopped::from_target)?;
    let outcomes = match fill(shared, &mut *branch, parts, &claims).await {
        Ok(outcomes) => outcomes,
        Err(stopped) => {
            // A rollback that fails has lost its connection, and the target undoes the branch by itself.
            if let Err(error) = branch.rollback().await {
                tracing::debug!(%error, "rolling back");
            }
            return Err(stopped);
        }
    };
    match branch.commit().await {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::InDoubt => resolve(shared, parts, &claims, &outcomes, &error).await?,
        Err(error) => return Err(Stopped::from_target(error)),
    }
    publish(shared, parts, &outcomes);
    Ok(())
}

async fn fill(
    shared: &Shared,
    branch: &mut dyn Branch,
    parts: &[Part<'_>],
    claims: &[Claim],
) -> Result<Vec<Outcome>, Stopped> {
    let mut outcomes = Vec::with_capacity(parts.len());
    for part in parts {
        let batch = part.batch();
        let rejects = branch.write(&batch).await.map_err(Stopped::from_target)?;
        let letters = dead_letters::of_batch(part.items, &rejects);
        if !letters.is_empty() {
            keep(shared, branch, &letters, &outcomes).await?;
        }
        let rows = batch.rows() - rejects.len() as u64;
        outcomes.push(Outcome { rows, dead_lettered: letters.len() as u64 });
    }
    for (part, claim) in parts.iter().zip(claims) {
        branch.advance(claim, &part.advance()).await.map_err(Stopped::from_target)?;
    }
    Ok(outcomes)
}

async fn keep(
    shared: &Shared,
    branch: &mut dyn Branch,
    letters: &[DeadLetter],
    earlier: &[Outcome],
) -> Result<(), Stopped> {
    use std::sync::atomic::Ordering::Relaxed;
    let in_this_commit: u64 = earlier.iter().map(|outcome| outcome.dead_lettered).sum::<u64>() + letters.len() as u64;
    let bad = shared.dead_lettered.load(Relaxed) + in_this_commit;
    shared.events.dead_lettered(letters);
    if shared.settings.errors_max.is_passed(bad, shared.rows_seen.load(Relaxed) + in_this_commit) {
        let last = letters.last().map(|letter| letter.reason.clone()).unwrap_or_default();
        let error = SinkError::TooManyErrors { dead_letters: bad, last };
        return Err(Stopped::Lost { error, committed: false });
    }
    match &shared.settings.dead_letters {
        DeadLetters::Table(table) => branch.dead_letter(table, letters).await,
        DeadLetters::Store(store) => store.keep(letters).await,
    }
    .map_err(Stopped::from_target)
}

/// The outcome of a commit is unknown: the target is asked until it knows, and nothing is guessed meanwhile.
async fn resolve(
    shared: &Shared,
    parts: &[Part<'_>],
    claims: &[Claim],
    outcomes: &[Outcome],
    doubt: &Error,
) -> Result<(), Stopped> {
    tracing::warn!(error = %doubt, "the outcome of a commit is unknown; asking the ledger");
    let moves: Vec<(Claim, u64)> =
        claims.iter().zip(parts).map(|(claim, part)| (claim.clone(), part.last().end)).collect();
    let began = Instant::now();
    for attempt in 1.. {
        match shared.target.resolve(&moves).await {
            Ok(Resolution::Committed) => return Ok(()),
            Ok(Resolution::NotCommitted) => return Err(Stopped::Retry(Error::retry("the commit did not happen"))),
            Ok(Resolution::Fenced { committed }) => {
                if committed {
                    publish(shared, parts, outcomes);
                }
                let claim = &claims[0];
                let error = Error::Fenced { lane: claim.lane.clone(), epoch: claim.epoch };
                return Err(Stopped::Lost { error: error.into(), committed });
            }
            Err(error) if matches!(error.kind(), ErrorKind::Retry | ErrorKind::InDoubt) => {
                if shared.settings.retry.give_up_after.is_some_and(|limit| began.elapsed() > limit) {
                    return Err(Stopped::Lost { error: error.into(), committed: false });
                }
                let pause = shared.settings.retry.pause_before(attempt);
                shared.events.stalled(&error.to_string(), pause);
                tokio::time::sleep(pause).await;
            }
            Err(error) => return Err(Stopped::Lost { error: error.into(), committed: false }),
        }
    }
    Err(Stopped::Retry(Error::retry("asked for ever")))
}

fn publish(shared: &Shared, parts: &[Part<'_>], outcomes: &[Outcome]) {
    for (part, outcome) in parts.iter().zip(outcomes) {
        let last = part.last();
        shared.count_applied(outcome.rows, outcome.dead_lettered);
        part.lane().applied(last.end, &last.source_position, last.complete);
        shared.events.applied(&Applied {
            stream: &part.lane().id.stream,
            lane: part.lane().id.lane,
            position: last.end,
            source_position: &last.source_position,
            rows: outcome.rows,
            dead_lettered: outcome.dead_lettered,
            bytes: part.items.iter().map(|item| item.block.size_bytes()).sum(),
            waited: part.items[0].since.elapsed(),
        });
    }
    shared.committed.notify_waiters();
}

impl Stopped {
    pub(crate) fn from_target(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Retry => Stopped::Retry(error),
            _ => Stopped::Lost { error: error.into(), committed: false },
        }
    }
}
