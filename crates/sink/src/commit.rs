use std::sync::{Arc, atomic::Ordering};

use standpipe_core::{Advance, Batch, Branch, Claim, DeadLetter, Error, ErrorKind, Reject, Resolution};

use crate::{
    Applied, DeadLetters, SinkError, clock, dead_letters, item::Item, shared::Shared, stream::LaneState,
    worker::Failing,
};

/// The batch of one lane, as part of a commit: at least one item.
pub(crate) struct Part<'a> {
    pub(crate) items: Vec<&'a Item>,
}

impl Part<'_> {
    fn lane(&self) -> &Arc<LaneState> {
        &self.items[0].lane
    }

    fn last(&self) -> &Item {
        self.items[self.items.len() - 1]
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
            blocks: self.items.iter().flat_map(|item| item.blocks.iter().cloned()).collect(),
        }
    }

    fn entries(&self) -> u64 {
        self.items.iter().map(|item| item.entries()).sum()
    }
}

/// How an attempt ended that did not commit.
pub(crate) enum Stopped {
    /// Nothing happened; try again after a pause.
    Retry(Error),
    /// Tried for long enough.
    GivenUp(SinkError),
    /// This commit can never be made as it is.
    Lost(SinkError),
}

/// What one lane's batch came to.
struct Outcome {
    rows: u64,
    letters: Vec<DeadLetter>,
}

/// Applies the parts in one transaction: rows, dead letters, positions. Publishes what was applied.
///
/// The parts come in the order of their lanes' ids, so that two owners never wait on each other.
pub(crate) async fn attempt(shared: &Shared, parts: &[Part<'_>]) -> Result<(), Stopped> {
    let claims: Vec<Claim> = parts.iter().map(|part| part.lane().claim().clone()).collect();
    for (part, claim) in parts.iter().zip(&claims) {
        check_next(part, claim)?;
    }
    let mut branch =
        shared.target.begin(&claims.iter().collect::<Vec<_>>(), None).await.map_err(Stopped::uncommitted)?;
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
        Ok(()) => publish(shared, parts, &outcomes),
        Err(error) if error.kind() == ErrorKind::InDoubt => {
            resolve(shared, parts, &claims, &outcomes, &error).await?
        }
        Err(error) => return Err(Stopped::uncommitted(error)),
    }
    Ok(())
}

/// A lane that stopped has a gap behind its position: nothing is applied over it.
fn check_next(part: &Part<'_>, claim: &Claim) -> Result<(), Stopped> {
    if part.lane().failure().is_some() {
        return Err(Stopped::Lost(part.lane().stopped()));
    }
    let start = part.items[0].start;
    if start < claim.position {
        let what = format!("{} is at {}, and was given rows from {start}", claim.lane, claim.position);
        return Err(Stopped::Lost(SinkError::Invalid(what)));
    }
    Ok(())
}

async fn fill(
    shared: &Shared,
    branch: &mut dyn Branch,
    parts: &[Part<'_>],
    claims: &[Claim],
) -> Result<Vec<Outcome>, Stopped> {
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(parts.len());
    let (mut seen, mut bad) = (0, 0);
    for (part, claim) in parts.iter().zip(claims) {
        let batch = part.batch();
        let rejects = write(branch, &batch).await?;
        let letters =
            dead_letters::of_batch(&part.items, &rejects).map_err(|error| Stopped::Lost(error.into()))?;
        seen += part.entries();
        bad += letters.len() as u64;
        if !letters.is_empty() {
            check_limit(shared, &letters, bad, seen)?;
            keep(shared, branch, part.lane(), claim, &letters).await.map_err(Stopped::uncommitted)?;
        }
        let rows = batch.rows().saturating_sub(rejects.len() as u64);
        outcomes.push(Outcome { rows, letters });
    }
    for (part, claim) in parts.iter().zip(claims) {
        branch.advance(claim, &part.advance()).await.map_err(Stopped::uncommitted)?;
    }
    Ok(outcomes)
}

async fn write(branch: &mut dyn Branch, batch: &Batch) -> Result<Vec<Reject>, Stopped> {
    // A commit that only moves a position needs no table.
    if batch.blocks.iter().all(|block| block.rows == 0 && !block.truncate) {
        return Ok(Vec::new());
    }
    branch.write(batch).await.map_err(Stopped::uncommitted)
}

/// Refuses a commit that would pass the limit. `bad` and `seen` count this commit only.
fn check_limit(shared: &Shared, letters: &[DeadLetter], bad: u64, seen: u64) -> Result<(), Stopped> {
    let bad = shared.dead_lettered.load(Ordering::Relaxed) + bad;
    let seen = shared.rows_seen.load(Ordering::Relaxed) + seen;
    if shared.settings.errors_max.is_passed(bad, seen) {
        shared.events.dead_lettered(letters);
        let last = letters.last().map(|letter| letter.reason.clone()).unwrap_or_default();
        return Err(Stopped::Lost(SinkError::TooManyErrors { dead_letters: bad, last }));
    }
    Ok(())
}

async fn keep(
    shared: &Shared,
    branch: &mut dyn Branch,
    lane: &LaneState,
    claim: &Claim,
    letters: &[DeadLetter],
) -> Result<(), Error> {
    match &shared.settings.dead_letters {
        DeadLetters::Table(table) => branch.dead_letter(table, letters).await,
        DeadLetters::Store(store) => {
            if lane.letters_kept() {
                // Of an attempt whose commit never happened.
                store.trim(&claim.lane, claim.position).await?;
            }
            store.keep(letters).await
        }
    }
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
    match ask(shared, &moves).await? {
        Resolution::Committed => publish(shared, parts, outcomes),
        Resolution::NotCommitted => {
            return Err(Stopped::Retry(Error::retry(format!("the commit did not happen: {doubt}"))));
        }
        Resolution::Fenced { committed: false } => return Err(Stopped::Lost(fenced(&claims[0]).into())),
        Resolution::Fenced { committed: true } => {
            publish(shared, parts, outcomes);
            for (part, step) in parts.iter().zip(&moves) {
                if is_fenced(shared, step, moves.len()).await? {
                    shared.fail_stream(part.lane().stream_number, &fenced(&step.0).into());
                }
            }
        }
    }
    Ok(())
}

/// Whether it is this lane, of those that were committed together, that somebody else owns now.
async fn is_fenced(shared: &Shared, step: &(Claim, u64), lanes: usize) -> Result<bool, Stopped> {
    if lanes == 1 {
        return Ok(true);
    }
    match ask(shared, std::slice::from_ref(step)).await {
        Ok(answer) => Ok(matches!(answer, Resolution::Fenced { .. })),
        // It was committed; whose the lane is will show at its next commit.
        Err(_) => Ok(false),
    }
}

async fn ask(shared: &Shared, moves: &[(Claim, u64)]) -> Result<Resolution, Stopped> {
    let mut failing = Failing::default();
    loop {
        let error = match shared.target.resolve(moves).await {
            Ok(resolution) => return Ok(resolution),
            Err(error) => error,
        };
        if !matches!(error.kind(), ErrorKind::Retry | ErrorKind::InDoubt) {
            return Err(Stopped::Lost(error.into()));
        }
        if failing.is_given_up(shared) {
            let what = "the outcome of a commit is unknown, and the ledger could not be asked; a new run will learn it";
            return Err(Stopped::GivenUp(Error::in_doubt(what).with_source(error).into()));
        }
        failing.pause(shared, &error.to_string()).await;
    }
}

fn fenced(claim: &Claim) -> Error {
    Error::Fenced { lane: claim.lane.clone(), epoch: claim.epoch }
}

/// All lanes first, then the observer: whatever it does, no lane stands where it does not belong.
fn publish(shared: &Shared, parts: &[Part<'_>], outcomes: &[Outcome]) {
    for (part, outcome) in parts.iter().zip(outcomes) {
        let last = part.last();
        shared.count_applied(outcome.rows, outcome.letters.len() as u64);
        part.lane().unqueued(part.items.iter().map(|item| item.records()).sum(), part.entries());
        part.lane().applied(last.end, &last.source_position, last.complete);
    }
    shared.committed.notify_waiters();
    for (part, outcome) in parts.iter().zip(outcomes) {
        let last = part.last();
        if !outcome.letters.is_empty() {
            shared.events.dead_lettered(&outcome.letters);
        }
        shared.events.applied(&Applied {
            stream: &part.lane().id.stream,
            lane: part.lane().id.lane,
            position: last.end,
            source_position: &last.source_position,
            rows: outcome.rows,
            dead_lettered: outcome.letters.len() as u64,
            bytes: part.items.iter().map(|item| item.size_bytes()).sum(),
            waited: clock::since(part.items[0].since),
        });
    }
}

impl Stopped {
    /// What a call said that cannot have committed anything. An unknown outcome of such a call is none: the branch is
    /// rolled back, and a position that moved all the same refuses the next attempt.
    fn uncommitted(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Retry | ErrorKind::InDoubt => Stopped::Retry(error),
            _ => Stopped::Lost(error.into()),
        }
    }
}
