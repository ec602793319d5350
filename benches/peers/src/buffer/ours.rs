//! All that is said to our buffer in here, but for `estimate`.

use std::time::Instant;

use standpipe_buffer::{Budget, Buffer, Feed, Policy, TokioClock, Weigh, Weight};
use standpipe_harness::{Context, Outcome, Sample};

use super::{
    BATCH, UNIT, batches, chunks,
    item::{Item, Made, Source, Taker},
    rows::{LIMIT_BYTES, all},
};
use crate::closed_loop::{self, Measured};

const ITEM_BYTES: u64 = size_of::<Item>() as u64;

impl Weigh for Item {
    fn weight(&self) -> Weight {
        Weight { rows: 1, bytes: u64::from(self.bytes) }
    }
}

fn policy() -> Policy {
    Policy { rows_max: BATCH as u64, ..Policy::default() }
}

/// Tasks, one item at a time.
pub(crate) fn rows(context: &Context, producers: u32) -> Outcome<Sample> {
    tasks(context, producers, false)
}

/// Tasks, many items at a time.
pub(crate) fn batches(context: &Context) -> Outcome<Sample> {
    tasks(context, batches::PRODUCERS, true)
}

async fn produce(
    mut source: Source,
    feed: Feed<(), Item>,
    measured: Measured,
    by_batch: bool,
) -> Outcome<Made> {
    let mut now = Instant::now();
    while !measured.is_over(now) {
        if by_batch {
            let (mut items, _) = batches::next(&mut source);
            feed.push_batch(&mut items, &TokioClock).await?;
            now = Instant::now();
            continue;
        }
        feed.push(source.next(), &TokioClock).await?;
        if source.is_round() {
            now = Instant::now();
        }
    }
    Ok(source.made())
}

fn tasks(context: &Context, producers: u32, by_batch: bool) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    runtime.block_on(async {
        let measured = Measured::from_now(context);
        let buffer = Buffer::new(policy(), Budget::new(LIMIT_BYTES as u64));
        let mut sources = Vec::new();
        for producer in 0..producers {
            let feed = buffer.feed(()).map_err(|_| "the buffer is closed")?;
            sources.push(tokio::spawn(produce(Source::of(producer), feed, measured, by_batch)));
        }
        let taker = tokio::spawn({
            let (buffer, mut taker) = (buffer.clone(), Taker::new(measured, producers));
            async move {
                let mut taking = buffer.taker();
                while let Some(batch) = taking.take(&TokioClock).await {
                    taker.took(batch.items());
                    batch.complete();
                }
                taker
            }
        });
        let made = all(sources).await?;
        buffer.close();
        Ok(taker.await?.finish(made)?.sample(UNIT))
    })
}

/// Threads, many items at a time.
pub(crate) fn chunks(context: &Context) -> Outcome<Sample> {
    threads(context, |feed, chunk| Ok(feed.push_batch_blocking(chunk)?))
}

/// Threads, one item at a time of the many that a producer has.
pub(crate) fn chunks_by_rows(context: &Context) -> Outcome<Sample> {
    threads(context, |feed, chunk| chunk.drain(..).try_for_each(|item| Ok(feed.push_blocking(item)?)))
}

fn threads(
    context: &Context,
    push: impl Fn(&Feed<(), Item>, &mut Vec<Item>) -> Outcome<()> + Sync,
) -> Outcome<Sample> {
    let buffer = Buffer::new(policy(), Budget::new(chunks::ITEMS_MAX as u64 * ITEM_BYTES));
    let feed = buffer.feed(()).map_err(|_| "the buffer is closed")?;
    let take = |taker: &mut Taker| {
        let mut taking = buffer.taker();
        while let Some(batch) = taking.take_blocking() {
            taker.took(batch.items());
            batch.complete();
        }
    };
    chunks::run(context, |chunk, _| push(&feed, chunk), take, || buffer.close())
}
