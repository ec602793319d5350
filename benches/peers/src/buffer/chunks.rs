use std::{thread, time::Instant};

use standpipe_buffer::{Budget, Lanes, Permit, Policy, Weigh, Weight};
use standpipe_harness::{Context, Outcome, Sample};

use super::{
    BATCH, UNIT,
    item::{Item, Made, Source, Taker},
    rows::Held,
};
use crate::closed_loop::Measured;

const PRODUCERS: u32 = 4;
/// Items that a producer has at a time.
const CHUNK: usize = 64;
/// Items under way, at most.
const ITEMS_MAX: usize = 8192;
const ITEM_BYTES: u64 = size_of::<Item>() as u64;

struct Chunk {
    items: Vec<Item>,
    _permit: Permit,
}

impl Weigh for Chunk {
    fn weight(&self) -> Weight {
        let rows = self.items.len() as u64;
        Weight { rows, bytes: rows * ITEM_BYTES }
    }
}

fn policy() -> Policy {
    Policy { rows_max: BATCH as u64, ..Policy::default() }
}

/// Until there is a push of many, many items are one.
pub(crate) fn standpipe(context: &Context) -> Outcome<Sample> {
    let budget = Budget::new(ITEMS_MAX as u64 * ITEM_BYTES);
    let lanes = Lanes::new(policy());
    let push = |chunk: &[Item], now| {
        let permit = budget.acquire_blocking(chunk.len() as u64 * ITEM_BYTES)?;
        let chunk = Chunk { items: chunk.to_vec(), _permit: permit };
        lanes.push((), chunk, now).map_err(|_| "the lanes are closed".into())
    };
    let take = |taker: &mut Taker| {
        let mut taking = lanes.taker();
        while let Some(batch) = taking.take_blocking() {
            batch.items().iter().for_each(|chunk| taker.took(&chunk.items));
            drop(batch.complete());
        }
    };
    run(context, push, take, || lanes.close())
}

pub(crate) fn standpipe_rows(context: &Context) -> Outcome<Sample> {
    let budget = Budget::new(ITEMS_MAX as u64 * ITEM_BYTES);
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
    run(context, push, take, || lanes.close())
}

pub(crate) fn crossbeam(context: &Context) -> Outcome<Sample> {
    let (sender, receiver) = crossbeam_channel::bounded::<Option<Item>>(ITEMS_MAX);
    let push = |chunk: &[Item], _| Ok(chunk.iter().try_for_each(|item| sender.send(Some(*item)))?);
    let take = |taker: &mut Taker| {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(Some(first)) = receiver.recv() {
            batch.push(first);
            let mut ended = false;
            for item in receiver.try_iter().take(BATCH - 1) {
                ended = item.is_none();
                batch.extend(item);
            }
            taker.took(&batch);
            batch.clear();
            if ended {
                return;
            }
        }
    };
    // The receiver lives until the end, so that the word of the end arrives.
    run(context, push, take, || {
        let _taker_is_there = sender.send(None);
    })
}

pub(crate) fn crossbeam_chunks(context: &Context) -> Outcome<Sample> {
    let (sender, receiver) = crossbeam_channel::bounded::<Vec<Item>>(ITEMS_MAX / CHUNK);
    let push = |chunk: &[Item], _| Ok(sender.send(chunk.to_vec())?);
    let take = |taker: &mut Taker| {
        while let Ok(chunk) = receiver.recv() {
            if chunk.is_empty() {
                return;
            }
            taker.took(&chunk);
        }
    };
    run(context, push, take, || {
        let _taker_is_there = sender.send(Vec::new());
    })
}

fn run(
    context: &Context,
    push: impl Fn(&[Item], Instant) -> Outcome<()> + Sync,
    take: impl FnOnce(&mut Taker) + Send,
    close: impl FnOnce(),
) -> Outcome<Sample> {
    let measured = Measured::from_now(context);
    thread::scope(|scope| {
        let taking = scope.spawn(move || {
            let mut taker = Taker::new(measured, PRODUCERS);
            take(&mut taker);
            taker
        });
        let sources: Vec<_> = (0..PRODUCERS)
            .map(Source::of)
            .map(|mut source| {
                let push = &push;
                scope.spawn(move || -> Outcome<Made> {
                    let mut chunk = Vec::with_capacity(CHUNK);
                    let mut now = Instant::now();
                    while !measured.is_over(now) {
                        chunk.clear();
                        chunk.extend((0..CHUNK).map(|_| source.next()));
                        push(&chunk, now)?;
                        now = Instant::now();
                    }
                    Ok(source.made())
                })
            })
            .collect();
        let made: Outcome<Vec<Made>> =
            sources.into_iter().map(|source| source.join().map_err(|_| "a producer panicked")?).collect();
        close();
        let taker = taking.join().map_err(|_| "the taker panicked")?;
        Ok(taker.finish(made?)?.sample(UNIT))
    })
}
