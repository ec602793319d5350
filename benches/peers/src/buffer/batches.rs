//! Tasks that have many items at a time, with the bytes of each accounted.

use std::{sync::Arc, time::Instant};

use standpipe_harness::{Context, Outcome, Sample};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    BATCH, UNIT,
    item::{Item, Made, Source, Taker},
    rows::{Held, ITEMS_MAX, LIMIT_BYTES, all},
};
use crate::closed_loop::{self, Measured};

pub(super) const PRODUCERS: u32 = 4;
/// Items that a producer has at a time.
pub(super) const CHUNK: usize = 64;

/// What a producer has next, and how many bytes that are.
pub(super) fn next(source: &mut Source) -> (Vec<Item>, u32) {
    let items: Vec<Item> = (0..CHUNK).map(|_| source.next()).collect();
    let bytes = items.iter().map(|item| item.bytes).sum();
    (items, bytes)
}

/// One permit for the bytes of all and one for the places of all, then each by itself. The right to the bytes goes with the last.
pub(crate) fn tokio_mpsc(context: &Context) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    runtime.block_on(async {
        let measured = Measured::from_now(context);
        let budget = Arc::new(Semaphore::new(LIMIT_BYTES));
        let (sender, mut receiver) = mpsc::channel::<Held<Option<OwnedSemaphorePermit>>>(ITEMS_MAX);
        let sources: Vec<_> = (0..PRODUCERS)
            .map(Source::of)
            .map(|mut source| {
                let (budget, sender) = (Arc::clone(&budget), sender.clone());
                tokio::spawn(async move {
                    let mut now = Instant::now();
                    while !measured.is_over(now) {
                        let (items, bytes) = next(&mut source);
                        let mut permit = Some(Arc::clone(&budget).acquire_many_owned(bytes).await?);
                        let places = sender.reserve_many(CHUNK).await?;
                        for (place, (number, item)) in places.zip(items.into_iter().enumerate()) {
                            let permit = if number + 1 == CHUNK { permit.take() } else { None };
                            place.send(Held { item, _permit: permit });
                        }
                        now = Instant::now();
                    }
                    Outcome::<Made>::Ok(source.made())
                })
            })
            .collect();
        drop(sender);
        let mut taker = Taker::new(measured, PRODUCERS);
        let taker = tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while receiver.recv_many(&mut batch, BATCH).await > 0 {
                taker.took(batch.iter().map(|held| &held.item));
                batch.clear();
            }
            taker
        });
        let made = all(sources).await?;
        Ok(taker.await?.finish(made)?.sample(UNIT))
    })
}

/// All of them are one message.
pub(crate) fn tokio_mpsc_chunks(context: &Context) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    runtime.block_on(async {
        let measured = Measured::from_now(context);
        let budget = Arc::new(Semaphore::new(LIMIT_BYTES));
        let (sender, mut receiver) = mpsc::channel::<(Vec<Item>, OwnedSemaphorePermit)>(ITEMS_MAX / CHUNK);
        let sources: Vec<_> = (0..PRODUCERS)
            .map(Source::of)
            .map(|mut source| {
                let (budget, sender) = (Arc::clone(&budget), sender.clone());
                tokio::spawn(async move {
                    let mut now = Instant::now();
                    while !measured.is_over(now) {
                        let (items, bytes) = next(&mut source);
                        let permit = Arc::clone(&budget).acquire_many_owned(bytes).await?;
                        sender.send((items, permit)).await.map_err(|_| "the channel is closed")?;
                        now = Instant::now();
                    }
                    Outcome::<Made>::Ok(source.made())
                })
            })
            .collect();
        drop(sender);
        let mut taker = Taker::new(measured, PRODUCERS);
        let taker = tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH / CHUNK);
            while receiver.recv_many(&mut batch, BATCH / CHUNK).await > 0 {
                batch.iter().for_each(|(items, _)| taker.took(items));
                batch.clear();
            }
            taker
        });
        let made = all(sources).await?;
        Ok(taker.await?.finish(made)?.sample(UNIT))
    })
}

/// Many items as one message.
struct Chunk(Vec<Item>);

impl weighted_mpsc::Weigh for Chunk {
    fn weight(&self) -> usize {
        self.0.iter().map(|item| item.bytes as usize).sum()
    }
}

/// One by one: it has no other way.
pub(crate) fn weighted_mpsc(context: &Context) -> Outcome<Sample> {
    super::rows::weighted_mpsc(context, PRODUCERS)
}

/// All of them are one message.
pub(crate) fn weighted_mpsc_chunks(context: &Context) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    runtime.block_on(async {
        let measured = Measured::from_now(context);
        let (sender, mut receiver) = weighted_mpsc::channel::<Chunk>(ITEMS_MAX / CHUNK, LIMIT_BYTES);
        let sources: Vec<_> = (0..PRODUCERS)
            .map(Source::of)
            .map(|mut source| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut now = Instant::now();
                    while !measured.is_over(now) {
                        let (items, _) = next(&mut source);
                        sender.send(Chunk(items)).await.map_err(|_| "the channel is closed")?;
                        now = Instant::now();
                    }
                    Outcome::<Made>::Ok(source.made())
                })
            })
            .collect();
        drop(sender);
        let mut taker = Taker::new(measured, PRODUCERS);
        let taker = tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH / CHUNK);
            loop {
                let received = receiver.recv().await;
                let ended = received.is_none();
                batch.extend(received);
                if batch.len() == BATCH / CHUNK || ended {
                    batch.iter().for_each(|lease: &weighted_mpsc::Lease<Chunk>| taker.took(&lease.0));
                    batch.clear();
                }
                if ended {
                    return taker;
                }
            }
        });
        let made = all(sources).await?;
        Ok(taker.await?.finish(made)?.sample(UNIT))
    })
}
