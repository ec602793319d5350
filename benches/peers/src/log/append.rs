use std::{
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use standpipe_harness::{Context, Outcome, Sample, check};
use standpipe_wal::{Log, Record as LogRecord, Settings, Wal};

use super::{
    STRIDE, UNIT,
    engine::{Engine, Promise, Writer, alone},
    record::{RECORD_BYTES, Record, Records, Seen},
    standpipe::{Pipelined, Standpipe},
};
use crate::closed_loop::{self, Clock, Measured, Tally};

/// Threads that append, each its own records, one append after the other.
pub(crate) fn on_threads<E: Engine>(
    context: &Context,
    promise: Promise,
    threads: u64,
    batch: usize,
) -> Outcome<Sample> {
    let dir = context.dir("log")?;
    let engine = Arc::new(E::open(&dir, promise)?);
    let mut sources: Vec<Records> = (0..threads).map(Records::of).collect();
    let mut writers = Vec::new();
    for (source, number) in sources.iter_mut().zip(0..) {
        let mut writer = engine.writer(number)?;
        let mut records: Vec<Record> = Vec::with_capacity(batch);
        writers.push(move || {
            if batch == 1 {
                writer.append(source.next())?;
            } else {
                records.clear();
                records.extend((0..batch).map(|_| *source.next()));
                writer.append_batch(&records)?;
            }
            Ok(batch as u64)
        });
    }
    let clock = match promise {
        Promise::Durable => Clock::Each,
        Promise::Os => Clock::Every(STRIDE),
    };
    let tally = closed_loop::on_threads(context, clock, writers)?;
    alone(engine)?.close()?;
    read_back::<E>(&dir, &sources)?;
    Ok(tally.sample(UNIT))
}

/// Makes a log of so many records, each appended by itself by one of 64 threads, and closes it.
pub(crate) fn fill<E: Engine>(dir: &Path, promise: Promise, records: u64) -> Outcome<Vec<u64>> {
    const THREADS: u64 = 64;
    let engine = Arc::new(E::open(dir, promise)?);
    let each = records / THREADS;
    let counts: Vec<u64> = (0..THREADS).map(|number| each + u64::from(number < records % THREADS)).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .zip(&counts)
            .map(|(number, count)| {
                let engine = &engine;
                scope.spawn(move || -> Outcome<()> {
                    let (mut writer, mut source) = (engine.writer(number)?, Records::of(number));
                    (0..*count).try_for_each(|_| writer.append(source.next()))
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a writer panicked")?)
    })?;
    alone(engine)?.close()?;
    Ok(counts)
}

/// Tasks that append to ours, each its own records, one append after the other.
pub(crate) fn in_tasks(context: &Context, tasks: u64) -> Outcome<Sample> {
    let dir = context.dir("log")?;
    let engine = Arc::new(Standpipe::open(&dir, Promise::Durable)?);
    let (tally, sources) = tasks_append(context, &engine, tasks)?;
    alone(engine)?.close()?;
    read_back::<Standpipe>(&dir, &sources)?;
    Ok(tally.sample(UNIT))
}

/// Tasks that append to a log with segments of this size, which lets go of what is old.
pub(crate) fn truncated(context: &Context, tasks: u64, segment_bytes: u64) -> Outcome<Sample> {
    while_truncating(context, segment_bytes, |engine| Ok(tasks_append(context, engine, tasks)?.0))
}

/// One thread that appends batches to a log that lets go of what is old.
pub(crate) fn truncated_batches(context: &Context, records: usize) -> Outcome<Sample> {
    while_truncating(context, 16 << 20, |engine| {
        let (mut source, mut writer) = (Records::of(0), engine.writer(0)?);
        let mut batch: Vec<Record> = Vec::with_capacity(records);
        let append = || {
            batch.clear();
            batch.extend((0..records).map(|_| *source.next()));
            writer.append_batch(&batch)?;
            Ok(records as u64)
        };
        closed_loop::on_threads(context, Clock::Each, vec![append])
    })
}

fn while_truncating(
    context: &Context,
    segment_bytes: u64,
    append: impl FnOnce(&Arc<Standpipe>) -> Outcome<Tally>,
) -> Outcome<Sample> {
    let dir = context.dir("log")?;
    let log = Wal::open(&dir, Settings { segment_bytes, size_bytes_max: 16 << 30, ..Settings::default() })?;
    let engine = Arc::new(Standpipe { log });
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // As a checkpoint does, on a thread of its own.
        let truncating = scope.spawn(|| -> Outcome<()> {
            while !is_over.load(Ordering::Relaxed) {
                engine.log.truncate_before(engine.log.durable_end())?;
                thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        });
        let tally = append(&engine);
        is_over.store(true, Ordering::Relaxed);
        truncating.join().map_err(|_| "truncating panicked")??;
        Ok(tally?.sample(UNIT))
    })
}

fn tasks_append(context: &Context, engine: &Arc<Standpipe>, tasks: u64) -> Outcome<(Tally, Vec<Records>)> {
    let runtime = closed_loop::runtime()?;
    let measured = Measured::from_now(context);
    let (told, counts) = std::sync::mpsc::channel();
    let tasks: Vec<_> = (0..tasks)
        .map(|number| {
            let (engine, told) = (Arc::clone(engine), told.clone());
            async move {
                let (mut source, mut tally) = (Records::of(number), Tally::new(measured));
                let mut started = Instant::now();
                while !measured.is_over(started) {
                    engine.log.append(LogRecord::new(&[source.next()]))?.await?;
                    let ended = Instant::now();
                    tally.time(started, ended);
                    tally.count(1, ended);
                    started = ended;
                }
                told.send((number, source))?;
                Ok(tally)
            }
        })
        .collect();
    let tally = closed_loop::in_tasks(&runtime, measured, tasks)?;
    drop((runtime, told));
    let mut sources: Vec<_> = counts.into_iter().collect();
    sources.sort_unstable_by_key(|(number, _)| *number);
    Ok((tally, sources.into_iter().map(|(_, source)| source).collect()))
}

/// One thread that appends to ours and waits for a record in so many.
pub(crate) fn pipelined(context: &Context) -> Outcome<Sample> {
    let dir = context.dir("log")?;
    let engine = Arc::new(Standpipe::open(&dir, Promise::Os)?);
    let mut source = Records::of(0);
    let mut writer = Pipelined::new(&engine);
    let writers = vec![|| {
        writer.append(source.next())?;
        Ok(1)
    }];
    let tally = closed_loop::on_threads(context, Clock::Every(STRIDE), writers)?;
    drop(writer);
    alone(engine)?.close()?;
    read_back::<Standpipe>(&dir, &[source])?;
    Ok(tally.sample(UNIT))
}

/// Copies of the same records into memory.
pub(crate) fn memcpy(context: &Context) -> Outcome<Sample> {
    let mut place = vec![0_u8; 64 << 20];
    let mut source = Records::of(0);
    let slots = place.len() / RECORD_BYTES;
    let mut at = 0;
    let copy = || {
        place[at * RECORD_BYTES..][..RECORD_BYTES].copy_from_slice(black_box(source.next()));
        at = (at + 1) % slots;
        black_box(&mut place);
        Ok(1)
    };
    let tally = closed_loop::on_threads(context, Clock::Every(STRIDE), vec![copy])?;
    let last = (at + slots - 1) % slots * RECORD_BYTES;
    check("the last copy", super::record::sequence(&place[last..]), source.count())?;
    Ok(tally.sample(UNIT))
}

fn read_back<E: Engine>(dir: &Path, sources: &[Records]) -> Outcome<()> {
    let expected: Vec<u64> = sources.iter().map(Records::count).collect();
    E::replay(dir, Seen::whole())?.seen.check(&expected)
}
