//! All that is said to our buffer in here, but for `estimate`.

use std::time::Instant;

use standpipe_buffer::{Budget, Clock, Lanes, Permit, Policy, Weigh, Weight};
use standpipe_harness::{Context, Outcome, Sample};

use super::{
    BATCH, UNIT, batches, chunks,
    item::{Item, Made, Source, Taker},
    rows::{Held, LIMIT_BYTES, all},
};
use crate::closed_loop::{self, Measured};

const ITEM_BYTES: u64 = size_of::<Item>() as u64;

impl Weigh for Item {
    fn weight(&self) -> Weight {
        Weight { rows: 1, bytes: u64::from(self.bytes) }
    }
}

impl Weigh for Held<Permit> {
    fn weight(&self) -> Weight {
        self.item.weight()
    }
}

/// Until there is a push of many, many items are one.
struct Chunk {
    items: Vec<Item>,
    permit: Permit,
}

impl Weigh for Chunk {
    fn weight(&self) -> Weight {
        Weight { rows: self.items.len() as u64, bytes: self.permit.bytes() }
    }
}

/// Timers of tokio.
struct TokioClock;

impl Clock for TokioClock {
    type Sleep = tokio::time::Sleep;

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, at: Instant) -> Self::Sleep {
        tokio::time::sleep_until(at.into())
    }
}

fn policy() -> Policy {
    Policy { rows_max: BATCH as u64, ..Policy::default() }
}

/// Tasks, one item at a time.
pub(crate) fn rows(context: &Context, producers: u32) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    runtime.block_on(async {
        let measured = Measured::from_now(context);
        let budget = Budget::new(LIMIT_BYTES as u64);
        let lanes = Lanes::new(policy());
        let sources: Vec<_> = (0..producers)
            .map(Source::of)
            .map(|mut source| {
                let (budget, lanes) = (budget.clone(), lanes.clone());
                tokio::spawn(async move {
                    let mut now = Instant::now();
                    while !measured.is_over(now) {
                        let item = source.next();
                        let permit = budget.acquire(u64::from(item.bytes)).await?;
                        if source.is_round() {
                            now = Instant::now();
                        }
                        lanes
                            .push((), Held { item, _permit: permit }, now)
                            .map_err(|_| "the lanes are closed")?;
                    }
                    Outcome::<Made>::Ok(source.made())
                })
            })
            .collect();
        let taker = tokio::spawn({
            let (lanes, mut taker) = (lanes.clone(), Taker::new(measured, producers));
            async move {
                let mut taking = lanes.taker();
                while let Some(batch) = taking.take(&TokioClock).await {
                    taker.took(batch.items().iter().map(|held| &held.item));
                    drop(batch.complete());
                }
                taker
            }
        });
        let made = all(sources).await?;
        lanes.close();
        Ok(taker.await?.finish(made)?.sample(UNIT))
    })
}

/// Tasks, many items at a time.
pub(crate) fn batches(context: &Context) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    runtime.block_on(async {
        let measured = Measured::from_now(context);
        let budget = Budget::new(LIMIT_BYTES as u64);
        let lanes = Lanes::new(policy());
        let sources: Vec<_> = (0..batches::PRODUCERS)
            .map(Source::of)
            .map(|mut source| {
                let (budget, lanes) = (budget.clone(), lanes.clone());
                tokio::spawn(async move {
                    let mut now = Instant::now();
                    while !measured.is_over(now) {
                        let (items, bytes) = batches::next(&mut source);
                        let permit = budget.acquire(u64::from(bytes)).await?;
                        now = Instant::now();
                        lanes.push((), Chunk { items, permit }, now).map_err(|_| "the lanes are closed")?;
                    }
                    Outcome::<Made>::Ok(source.made())
                })
            })
            .collect();
        let taker = tokio::spawn({
            let (lanes, mut taker) = (lanes.clone(), Taker::new(measured, batches::PRODUCERS));
            async move {
                let mut taking = lanes.taker();
                while let Some(batch) = taking.take(&TokioClock).await {
                    batch.items().iter().for_each(|chunk| taker.took(&chunk.items));
                    drop(batch.complete());
                }
                taker
            }
        });
        let made = all(sources).await?;
        lanes.close();
        Ok(taker.await?.finish(made)?.sample(UNIT))
    })
}

/// Threads, many items at a time.
pub(crate) fn chunks(context: &Context) -> Outcome<Sample> {
    let budget = Budget::new(chunks::ITEMS_MAX as u64 * ITEM_BYTES);
    let lanes = Lanes::new(policy());
    let push = |chunk: &[Item], now| {
        let permit = budget.acquire_blocking(chunk.len() as u64 * ITEM_BYTES)?;
        let chunk = Chunk { items: chunk.to_vec(), permit };
        lanes.push((), chunk, now).map_err(|_| "the lanes are closed".into())
    };
    let take = |taker: &mut Taker| {
        let mut taking = lanes.taker();
        while let Some(batch) = taking.take_blocking() {
            batch.items().iter().for_each(|chunk| taker.took(&chunk.items));
            drop(batch.complete());
        }
    };
    chunks::run(context, push, take, || lanes.close())
}

/// Threads, one item at a time of the many that a producer has.
pub(crate) fn chunks_by_rows(context: &Context) -> Outcome<Sample> {
    let budget = Budget::new(chunks::ITEMS_MAX as u64 * ITEM_BYTES);
    let lanes = Lanes::new(policy());
    let push = |chunk: &[Item], now| {
        for item in chunk {
            let permit = budget.acquire_blocking(ITEM_BYTES)?;
            lanes.push((), Held { item: *item, _permit: permit }, now).map_err(|_| "the lanes are closed")?;
        }
        Ok(())
    };
    let take = |taker: &mut Taker| {
        let mut taking = lanes.taker();
        while let Some(batch) = taking.take_blocking() {
            taker.took(batch.items().iter().map(|held| &held.item));
            drop(batch.complete());
        }
    };
    chunks::run(context, push, take, || lanes.close())
}
