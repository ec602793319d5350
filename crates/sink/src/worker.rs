use std::{sync::Arc, time::Instant};

use standpipe_buffer::{JoinLimit, Taken, TokioClock};
use standpipe_core::LaneId;

use crate::{
    SinkError, clock,
    commit::{self, Part, Stopped},
    item::Item,
    panicked::caught,
    shared::Shared,
};

type Group = Vec<Taken<LaneId, Item>>;

/// Takes batches that are due and commits them, until the lanes are closed and empty.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut taker = shared.buffer.taker();
    while let Some(first) = taker.take(&TokioClock).await {
        let mut group = vec![first];
        let join = JoinLimit {
            rows: shared.settings.batch_rows_max,
            bytes: shared.settings.batch_bytes(),
            lanes: shared.settings.lanes_per_commit.saturating_sub(1),
        };
        group.extend(shared.buffer.take_more(clock::now(), join));
        // Two owners that take their ledger rows in one order never wait on each other.
        group.sort_by(|a, b| a.key().cmp(b.key()));
        let Some(parted) = apply(&shared, group).await else { continue };
        for taken in parted {
            apply(&shared, vec![taken]).await;
        }
    }
}

/// Commits a group, again and again where that can help. Hands it back where its lanes should be tried one at a time,
/// so that one that can't be committed stops no other; a lane alone is stopped.
async fn apply(shared: &Shared, group: Group) -> Option<Group> {
    match caught(commit_group(shared, &group)).await {
        Ok(Ok(())) => leave(group),
        Ok(Err(Lost { is_of_one_lane: true, .. })) if group.len() > 1 => return Some(group),
        // Failed before it leaves: nobody may apply what comes behind it.
        Ok(Err(Lost { error, .. })) => {
            fail(shared, &group, &error);
            leave(group);
        }
        Err(message) => {
            shared.fail(SinkError::Panicked { what: "a flush worker", message });
            leave(group);
        }
    }
    None
}

/// Applied or given up: either way the items leave their lanes. What was not applied is in the log or in its source.
fn leave(group: Group) {
    for taken in group {
        taken.complete();
    }
}

fn fail(shared: &Shared, group: &Group, error: &SinkError) {
    if matches!(error, SinkError::TooManyErrors { .. }) {
        return shared.fail(error.clone());
    }
    for taken in group {
        if let Some(item) = taken.items().next() {
            shared.fail_stream(item.lane.stream_number, error);
        }
    }
}

/// Why a group was given up.
struct Lost {
    error: SinkError,
    /// It may concern one lane only.
    is_of_one_lane: bool,
}

async fn commit_group(shared: &Shared, group: &[Taken<LaneId, Item>]) -> Result<(), Lost> {
    let parts: Vec<Part<'_>> = group.iter().map(|taken| Part { items: taken.items().collect() }).collect();
    let mut failing = Failing::default();
    loop {
        shared.check_alive().map_err(|error| Lost { error, is_of_one_lane: false })?;
        let reason = match commit::attempt(shared, &parts).await {
            Ok(()) => return Ok(()),
            Err(Stopped::Lost(error)) => return Err(Lost { error, is_of_one_lane: true }),
            Err(Stopped::GivenUp(error)) => return Err(Lost { error, is_of_one_lane: false }),
            Err(Stopped::Retry(reason)) => reason,
        };
        if failing.is_given_up(shared) {
            return Err(Lost { error: reason.into(), is_of_one_lane: false });
        }
        failing.pause(shared, &reason.to_string()).await;
    }
}

/// A call that failed and is tried again.
#[derive(Default)]
pub(crate) struct Failing {
    /// Since its first failure: however long that took to show, it is tried again.
    since: Option<Instant>,
    attempts: u32,
}

impl Failing {
    /// It failed: whether it has been tried for as long as the settings allow.
    pub(crate) fn is_given_up(&mut self, shared: &Shared) -> bool {
        let since = *self.since.get_or_insert_with(clock::now);
        shared.settings.retry.give_up_after.is_some_and(|limit| clock::since(since) >= limit)
    }

    /// The pause before it is tried again.
    pub(crate) async fn pause(&mut self, shared: &Shared, reason: &str) {
        self.attempts = self.attempts.saturating_add(1);
        let (attempt, pause) = (self.attempts, shared.settings.retry.pause_before(self.attempts));
        tracing::warn!(%reason, ?pause, attempt, "the target cannot be used now; trying again");
        shared.events.stalled(reason, pause);
        tokio::time::sleep(pause).await;
    }
}
