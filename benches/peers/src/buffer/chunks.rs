use std::{thread, time::Instant};

use standpipe_harness::{Context, Outcome, Sample};

use super::{
    BATCH, UNIT,
    item::{Item, Made, Source, Taker},
};
use crate::closed_loop::Measured;

pub(super) const PRODUCERS: u32 = 4;
/// Items that a producer has at a time.
pub(super) const CHUNK: usize = 64;
/// Items under way, at most.
pub(super) const ITEMS_MAX: usize = 8192;

pub(crate) fn crossbeam(context: &Context) -> Outcome<Sample> {
    let (sender, receiver) = crossbeam_channel::bounded::<Option<Item>>(ITEMS_MAX);
    let push = |chunk: &mut Vec<Item>, _| Ok(chunk.iter().try_for_each(|item| sender.send(Some(*item)))?);
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
    let push = |chunk: &mut Vec<Item>, _| Ok(sender.send(chunk.to_vec())?);
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

pub(super) fn run(
    context: &Context,
    push: impl Fn(&mut Vec<Item>, Instant) -> Outcome<()> + Sync,
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
                        push(&mut chunk, now)?;
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
