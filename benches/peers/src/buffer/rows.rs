use std::{
    future::Future,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use standpipe_harness::{Context, Outcome, Sample};
use tokio::{
    sync::{OwnedSemaphorePermit, RwLock, Semaphore, mpsc},
    task::{JoinHandle, yield_now},
};

use super::{
    BATCH, UNIT,
    item::{Item, Made, Source, Taker},
};
use crate::closed_loop::{self, Measured};

pub(super) const LIMIT_BYTES: usize = 1 << 20;
/// More items than the bytes allow, so that only the bytes bound what is under way.
pub(super) const ITEMS_MAX: usize = 2 * LIMIT_BYTES / 64;

/// What a home-made buffer takes an item for.
const ASSUMED_BYTES: usize = 100;

/// An item and the right to its bytes.
pub(crate) struct Held<P> {
    pub(crate) item: Item,
    pub(crate) _permit: P,
}

pub(crate) fn tokio_mpsc(context: &Context, producers: u32, accounted: bool) -> Outcome<Sample> {
    type Sent = Held<Option<OwnedSemaphorePermit>>;
    let runtime = closed_loop::runtime()?;
    runtime.block_on(async {
        let measured = Measured::from_now(context);
        let budget = Arc::new(Semaphore::new(LIMIT_BYTES));
        // Without bytes the channel's own bound holds as many items as the bytes would on average.
        let bound = if accounted { ITEMS_MAX } else { LIMIT_BYTES / 128 };
        let (sender, mut receiver) = mpsc::channel::<Sent>(bound);
        let sources = (0..producers).map(Source::of).map(|mut source| {
            let (budget, sender) = (Arc::clone(&budget), sender.clone());
            tokio::spawn(async move {
                let mut now = Instant::now();
                while !measured.is_over(now) {
                    let item = source.next();
                    let permit = match accounted {
                        true => Some(Arc::clone(&budget).acquire_many_owned(item.bytes).await?),
                        false => None,
                    };
                    sender.send(Held { item, _permit: permit }).await.map_err(|_| "the channel is closed")?;
                    if source.is_round() {
                        now = Instant::now();
                    }
                }
                Ok(source.made())
            })
        });
        let sources: Vec<JoinHandle<Outcome<Made>>> = sources.collect();
        drop(sender);
        let mut taker = Taker::new(measured, producers);
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

/// It gives one message at a time, each with its lease; leases of a batch are kept until the batch is done.
pub(crate) fn weighted_mpsc(context: &Context, producers: u32) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    runtime.block_on(async {
        let measured = Measured::from_now(context);
        let (sender, mut receiver) = weighted_mpsc::channel::<Item>(ITEMS_MAX, LIMIT_BYTES);
        let sources = (0..producers).map(Source::of).map(|mut source| {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut now = Instant::now();
                while !measured.is_over(now) {
                    sender.send(source.next()).await.map_err(|_| "the channel is closed")?;
                    if source.is_round() {
                        now = Instant::now();
                    }
                }
                Ok(source.made())
            })
        });
        let sources: Vec<JoinHandle<Outcome<Made>>> = sources.collect();
        drop(sender);
        let mut taker = Taker::new(measured, producers);
        let taker = tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            loop {
                let received = receiver.recv().await;
                let ended = received.is_none();
                batch.extend(received);
                if batch.len() == BATCH || ended {
                    taker.took(batch.iter().map(|lease: &weighted_mpsc::Lease<Item>| &**lease));
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

/// Threads: it has no async side. What it lacks, a count of bytes, is a mutex and a condvar beside it, given back once for
/// a batch.
pub(crate) fn crossbeam(context: &Context, producers: u32) -> Outcome<Sample> {
    let measured = Measured::from_now(context);
    let (free, returned) = (Mutex::new(LIMIT_BYTES), Condvar::new());
    let (sender, receiver) = crossbeam_channel::bounded::<Item>(ITEMS_MAX);
    thread::scope(|scope| {
        let sources: Vec<_> = (0..producers)
            .map(Source::of)
            .map(|mut source| {
                let (sender, free, returned) = (sender.clone(), &free, &returned);
                scope.spawn(move || -> Outcome<Made> {
                    let mut now = Instant::now();
                    while !measured.is_over(now) {
                        let item = source.next();
                        let bytes = item.bytes as usize;
                        let left = free.lock().unwrap_or_else(PoisonError::into_inner);
                        let mut left = returned
                            .wait_while(left, |left| *left < bytes)
                            .unwrap_or_else(PoisonError::into_inner);
                        *left -= bytes;
                        drop(left);
                        sender.send(item)?;
                        if source.is_round() {
                            now = Instant::now();
                        }
                    }
                    Ok(source.made())
                })
            })
            .collect();
        drop(sender);
        let mut taker = Taker::new(measured, producers);
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(first) = receiver.recv() {
            batch.push(first);
            batch.extend(receiver.try_iter().take(BATCH - 1));
            taker.took(&batch);
            let bytes: usize = batch.drain(..).map(|item| item.bytes as usize).sum();
            *free.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
            returned.notify_all();
        }
        let made: Vec<Made> = sources
            .into_iter()
            .map(|source| source.join().map_err(|_| "a producer panicked")?)
            .collect::<Outcome<_>>()?;
        Ok(taker.finish(made)?.sample(UNIT))
    })
}

/// A lock whose waiters stand in line, and give their thread to other tasks.
pub(crate) fn home_rwlock(context: &Context, producers: u32) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    runtime.block_on(async {
        let measured = Measured::from_now(context);
        let buffer = Arc::new(RwLock::new(Vec::<Item>::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let sources = (0..producers).map(Source::of).map(|mut source| {
            let buffer = Arc::clone(&buffer);
            tokio::spawn(async move {
                let mut now = Instant::now();
                while !measured.is_over(now) {
                    let item = source.next();
                    loop {
                        let mut rows = buffer.write().await;
                        if (rows.len() + 1) * ASSUMED_BYTES <= LIMIT_BYTES {
                            rows.push(item);
                            break;
                        }
                        drop(rows);
                        yield_now().await;
                    }
                    if source.is_round() {
                        now = Instant::now();
                    }
                }
                Ok(source.made())
            })
        });
        let sources: Vec<JoinHandle<Outcome<Made>>> = sources.collect();
        let taker = tokio::spawn({
            let (buffer, ended) = (Arc::clone(&buffer), Arc::clone(&ended));
            let mut taker = Taker::new(measured, producers);
            async move {
                loop {
                    let last = ended.load(Ordering::Acquire);
                    if !last && buffer.read().await.len() < BATCH {
                        yield_now().await;
                        continue;
                    }
                    let mut rows = buffer.write().await;
                    let batch = rows.clone();
                    rows.clear();
                    drop(rows);
                    taker.took(&batch);
                    if last {
                        return taker;
                    }
                }
            }
        });
        let made = all(sources).await?;
        ended.store(true, Ordering::Release);
        Ok(taker.await?.finish(made)?.sample(UNIT))
    })
}

/// The same with the lock of the standard library, held for a moment and never across an await.
pub(crate) fn home_std_rwlock(context: &Context, producers: u32) -> Outcome<Sample> {
    let runtime = closed_loop::runtime()?;
    runtime.block_on(async {
        let measured = Measured::from_now(context);
        let buffer = Arc::new(std::sync::RwLock::new(Vec::<Item>::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let sources = (0..producers).map(Source::of).map(|mut source| {
            let buffer = Arc::clone(&buffer);
            tokio::spawn(async move {
                let mut now = Instant::now();
                while !measured.is_over(now) {
                    let item = source.next();
                    loop {
                        {
                            let mut rows = buffer.write().unwrap_or_else(PoisonError::into_inner);
                            if (rows.len() + 1) * ASSUMED_BYTES <= LIMIT_BYTES {
                                rows.push(item);
                                break;
                            }
                        }
                        yield_now().await;
                    }
                    if source.is_round() {
                        now = Instant::now();
                    }
                }
                Ok(source.made())
            })
        });
        let sources: Vec<JoinHandle<Outcome<Made>>> = sources.collect();
        let taker = tokio::spawn({
            let (buffer, ended) = (Arc::clone(&buffer), Arc::clone(&ended));
            let mut taker = Taker::new(measured, producers);
            async move {
                loop {
                    let last = ended.load(Ordering::Acquire);
                    if !last && buffer.read().unwrap_or_else(PoisonError::into_inner).len() < BATCH {
                        yield_now().await;
                        continue;
                    }
                    let batch = {
                        let mut rows = buffer.write().unwrap_or_else(PoisonError::into_inner);
                        let batch = rows.clone();
                        rows.clear();
                        batch
                    };
                    taker.took(&batch);
                    if last {
                        return taker;
                    }
                }
            }
        });
        let made = all(sources).await?;
        ended.store(true, Ordering::Release);
        Ok(taker.await?.finish(made)?.sample(UNIT))
    })
}

pub(super) async fn all<T>(
    tasks: Vec<impl Future<Output = Result<Outcome<T>, tokio::task::JoinError>>>,
) -> Outcome<Vec<T>> {
    let mut made = Vec::new();
    for task in tasks {
        made.push(task.await??);
    }
    Ok(made)
}
