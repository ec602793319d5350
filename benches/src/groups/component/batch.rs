use std::{
    hint,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use standpipe_buffer::{Lanes, Policy, Reason, TokioClock, Weigh, Weight};
use standpipe_harness::{Context, Latency, Outcome, Sample, check};
use tokio::runtime::Builder;

use crate::setup::by_median;

const BLOCKS: u64 = 10;
const BLOCK_ROWS: u64 = 100;
/// How long after its last batch the task is taken to wait: a batch that comes before it does is no wake.
const ASLEEP_AFTER: Duration = Duration::from_micros(50);

struct Block(Instant);

impl Weigh for Block {
    fn weight(&self) -> Weight {
        Weight { rows: BLOCK_ROWS, bytes: BLOCK_ROWS * 100 }
    }
}

pub(super) fn run(context: &Context) -> Outcome<Sample> {
    // As in a sink: a thread of its own pushes, a task takes.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
    let age_max = Duration::from_secs(3600);
    let lanes = Lanes::new(Policy { rows_max: BLOCKS * BLOCK_ROWS, bytes_max: u64::MAX, age_max });
    let (settled, settle) = sync_channel(1);
    let warm = Instant::now() + context.warm_up();
    let taker = runtime.spawn(take(lanes.clone(), warm, settled));
    let pushed = push(&lanes, warm + context.span, &settle);
    // Also after an error, so that the task ends.
    lanes.close();
    let (taken, latency) = runtime.block_on(taker)??;
    check("blocks taken", taken, pushed?)?;
    Ok(by_median(&latency))
}

/// Pushes batch after batch, each after the one before has been taken; returns the blocks.
fn push(lanes: &Lanes<u32, Block>, end: Instant, settle: &Receiver<()>) -> Outcome<u64> {
    let (mut pushed, mut began) = (0, Instant::now());
    while began < end {
        for block in 1..=BLOCKS {
            while block == BLOCKS && began.elapsed() < ASLEEP_AFTER {
                hint::spin_loop();
            }
            let now = Instant::now();
            lanes.push(0, Block(now), now)?;
        }
        pushed += BLOCKS;
        settle.recv()?;
        began = Instant::now();
    }
    Ok(pushed)
}

async fn take(lanes: Lanes<u32, Block>, warm: Instant, settled: SyncSender<()>) -> Outcome<(u64, Latency)> {
    let (mut latency, mut taken, mut taker) = (Latency::since(warm), 0, lanes.taker());
    while let Some(batch) = taker.take(&TokioClock).await {
        let now = Instant::now();
        check("why the batch was taken", batch.reason(), Reason::Rows)?;
        check("blocks of a batch", batch.len() as u64, BLOCKS)?;
        let pushed = batch.items().last().ok_or("an empty batch")?.0;
        if now >= warm {
            latency.record(pushed, now);
        }
        batch.complete();
        taken += BLOCKS;
        settled.send(())?;
    }
    Ok((taken, latency))
}
