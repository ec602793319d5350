use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use standpipe_buffer::{Clock, JoinLimit, Taken};
use standpipe_core::LaneId;

use crate::{
    SinkError,
    commit::{self, Part, Stopped},
    item::Item,
    shared::Shared,
};

/// The runtime's clock, so that a test can pause it.
pub(crate) struct TokioClock;

impl Clock for TokioClock {
    type Sleep = tokio::time::Sleep;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
        tokio::time::sleep_until(deadline.into())
    }
}

/// Takes batches that are due and commits them, until the lanes are closed and empty.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut taker = shared.lanes.taker();
    while let Some(first) = taker.take(&TokioClock).await {
        let mut group = vec![first];
        let join = JoinLimit {
            rows: shared.settings.batch_rows_max,
            bytes: shared.settings.batch_bytes(),
            lanes: shared.settings.lanes_per_commit.saturating_sub(1),
        };
        group.extend(shared.lanes.take_more(TokioClock.now(), join));
        // Two owners that take their ledger rows in one order never wait on each other.
        group.sort_by(|a, b| a.key().cmp(b.key()));
        apply(&shared, group).await;
    }
}

/// Commits a group, again and again where that can help. A lane that can't be committed is stopped; the rest of the group
/// then goes on one lane at a time, so that it stops no other.
async fn apply(shared: &Shared, group: Vec<Taken<LaneId, Item>>) {
    match commit_group(shared, &group).await {
        Ok(()) => group.into_iter().for_each(complete),
        Err(_) if group.len() > 1 && shared.failure().is_none() => {
            for taken in group {
                let alone = [taken];
                let ended = commit_group(shared, &alone).await;
                let [taken] = alone;
                end(shared, taken, ended);
            }
        }
        Err(error) => {
            for taken in group {
                end(shared, taken, Err(error.clone()));
            }
        }
    }
}

fn complete(taken: Taken<LaneId, Item>) {
    drop(taken.complete());
}

fn end(shared: &Shared, taken: Taken<LaneId, Item>, ended: Result<(), SinkError>) {
    let stream = taken.items().first().map(|item| item.lane.stream_number);
    // Given up or done: either way the items leave the lane. What was not applied is in the log or in its source.
    complete(taken);
    match (ended, stream) {
        (Err(error @ (SinkError::TooManyErrors { .. } | SinkError::Panicked { .. })), _) => shared.fail(error),
        (Err(error), Some(stream)) => shared.fail_stream(stream, &error),
        _ => {}
    }
}

async fn commit_group(shared: &Shared, group: &[Taken<LaneId, Item>]) -> Result<(), SinkError> {
    let parts: Vec<Part<'_>> = group.iter().map(|taken| Part { items: taken.items() }).collect();
    let began = Instant::now();
    for attempt in 1.. {
        shared.check_alive()?;
        let reason = match commit::attempt(shared, &parts).await {
            Ok(()) => return Ok(()),
            Err(Stopped::Lost { error, committed }) => {
                tracing::debug!(%error, committed, "a batch is given up");
                return Err(error);
            }
            Err(Stopped::Retry(reason)) => reason,
        };
        if shared.settings.retry.give_up_after.is_some_and(|limit| began.elapsed() >= limit) {
            return Err(reason.into());
        }
        pause(shared, attempt, &reason.to_string()).await;
    }
    Err(SinkError::Closed)
}

async fn pause(shared: &Shared, attempt: u32, reason: &str) {
    let pause: Duration = shared.settings.retry.pause_before(attempt);
    tracing::warn!(%reason, ?pause, attempt, "the target cannot take a batch now; trying again");
    shared.events.stalled(reason, pause);
    tokio::time::sleep(pause).await;
}
