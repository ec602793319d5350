use std::{
    hint,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use standpipe_buffer::{Budget, Lanes, Policy, Reason};
use standpipe_harness::{Context, Latency, Outcome, Sample, Workload, check};

use super::Item;
use crate::setup::by_median;

const ITEM_BYTES: u64 = 1 << 10;
const AGE: Duration = Duration::from_millis(2);
/// How long after its last batch the taking thread is taken to sleep: a batch that comes before it does is no wake.
const ASLEEP_AFTER: Duration = Duration::from_micros(50);

/// What makes the lane due.
#[derive(Clone, Copy)]
struct Trigger {
    policy: Policy,
    /// Items pushed in a round, the last of which makes the lane due at once, or later by its age.
    items: u64,
    reason: Reason,
    /// When it is due, counted from the last push.
    due_after: Duration,
}

const NEVER: Policy = Policy { rows_max: u64::MAX, bytes_max: u64::MAX, age_max: Duration::from_secs(3600) };

pub(super) fn workloads() -> Vec<Workload> {
    let at_once = Duration::ZERO;
    let rows = Trigger {
        policy: Policy { rows_max: 100, ..NEVER },
        items: 100,
        reason: Reason::Rows,
        due_after: at_once,
    };
    let bytes = Trigger {
        policy: Policy { bytes_max: 64 * ITEM_BYTES, ..NEVER },
        items: 64,
        reason: Reason::Bytes,
        due_after: at_once,
    };
    let age =
        Trigger { policy: Policy { age_max: AGE, ..NEVER }, items: 1, reason: Reason::Age, due_after: AGE };
    let wakes = "is pushed until a sleeping thread has taken the batch (closed loop, 2 threads)";
    vec![
        Workload::new("buffer.trigger.rows", format!("from when the 100th of 100 rows {wakes}"), move |context| {
            run(context, rows)
        }),
        Workload::new("buffer.trigger.bytes", format!("from when the 64th KiB of 64 {wakes}"), move |context| {
            run(context, bytes)
        })
        .full_only(),
        Workload::new(
            "buffer.trigger.age",
            "how much later than its age of 2 ms a row is taken by a sleeping thread (closed loop, 2 threads)",
            move |context| run(context, age),
        )
        .full_only(),
    ]
}

fn run(context: &Context, trigger: Trigger) -> Outcome<Sample> {
    let budget = Budget::new(1 << 20);
    let lanes: Lanes<u32, Item> = Lanes::new(trigger.policy);
    let (settled, settle) = sync_channel(1);
    let warm = Instant::now() + context.warm_up();
    let taker = {
        let lanes = lanes.clone();
        thread::spawn(move || take(&lanes, trigger, warm, &settled))
    };
    let pushed = push(&budget, &lanes, trigger, warm + context.span, &settle);
    // Also after an error, so that the thread ends.
    lanes.close();
    let (taken, latency) = taker.join().map_err(|_| "the taking thread panicked")??;
    check("rows taken", taken, pushed?)?;
    check("bytes still in use", budget.in_use(), 0)?;
    Ok(by_median(&latency))
}

/// Pushes round after round, each after the one before has been taken; returns the rows.
fn push(
    budget: &Budget,
    lanes: &Lanes<u32, Item>,
    trigger: Trigger,
    end: Instant,
    settle: &Receiver<()>,
) -> Outcome<u64> {
    let (mut number, mut began) = (0, Instant::now());
    loop {
        for item in 1..=trigger.items {
            while item == trigger.items && began.elapsed() < ASLEEP_AFTER {
                hint::spin_loop();
            }
            let permit = budget.try_acquire(ITEM_BYTES).ok_or("no room for a row")?;
            let pushed = Instant::now();
            lanes.push(0, Item { number, rows: 1, pushed, permit }, pushed)?;
            number += 1;
        }
        settle.recv()?;
        began = Instant::now();
        if began >= end {
            return Ok(number);
        }
    }
}

fn take(
    lanes: &Lanes<u32, Item>,
    trigger: Trigger,
    warm: Instant,
    settled: &SyncSender<()>,
) -> Outcome<(u64, Latency)> {
    let (mut latency, mut rows) = (Latency::since(warm), 0);
    while let Some(batch) = lanes.take_blocking() {
        let now = Instant::now();
        check("why the batch was taken", batch.reason(), trigger.reason)?;
        check("rows of a batch", batch.len() as u64, trigger.items)?;
        let due = batch.items().last().ok_or("an empty batch")?.pushed + trigger.due_after;
        if now >= warm {
            latency.record(due, now);
        }
        rows += batch.len() as u64;
        batch.complete();
        settled.send(())?;
    }
    Ok((rows, latency))
}
