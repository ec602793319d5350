//! What only ours does, against doing without it: replay of compressed frames against bare decompression, application by key
//! on two threads against one.

use std::{
    convert::Infallible,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use lz4_flex::block::{compress, decompress_into};
use standpipe_harness::{Context, Figure, Outcome, Sample, Scale, check};
use standpipe_wal::{Compression, Dir, Durability, Key, Log, Record, Replay, Settings, Wal};

use super::UNIT;
use crate::{closed_loop::repeat, comparison::Comparison};

/// Records of one frame.
const GROUP: u64 = 64;
/// What applying one record takes.
const WORK: Duration = Duration::from_micros(5);

/// Lines as services log them, compressed 64 to a frame.
pub(crate) fn compressed() -> Comparison {
    Comparison::new(
        "log.replay.lz4",
        "a closed log of 100,000 lines of about 110 B, as services log them, 64 to a frame, in the page cache: all \
         records, opening left out",
    )
    .with("standpipe", "standpipe-wal with Compression::lz4(), 1 thread", |context| text(context, Compression::lz4(), |replay| replay))
    .with("standpipe-mapped", "the same, sealed segments mapped", |context| {
        text(context, Compression::lz4(), |replay| replay.mapped())
    })
    .with("standpipe-raw", "the same log without compression", |context| text(context, Compression::None, |replay| replay))
    .with("limit-decompress", "the same frames' LZ4 blocks in memory, decompressed one after the other", bare)
}

/// Each record costs 5 us of a core.
pub(crate) fn applied(name: &str, what: &str, key: fn(u64) -> u64) -> Comparison {
    Comparison::new(
        &format!("log.apply.{name}"),
        &format!("20,000 records of 256 B from a closed log, each applied by 5 us of work; {what}"),
    )
    .with("standpipe-by-key", "replay by key, as many threads as cores", move |context| {
        apply(context, Some(key))
    })
    .with("standpipe-in-order", "replay in order, on one thread", |context| apply(context, None))
}

fn line(number: u64) -> Vec<u8> {
    let level = ["INFO", "WARN", "DEBUG"][number as usize % 3];
    let (minute, second, micros) = (number / 60 % 60, number % 60, number * 7919 % 1_000_000);
    format!(
        "2026-11-21T10:{minute:02}:{second:02}.{micros:06}Z {level} ingest::table: batch {number} of {} rows committed in {} us\n",
        number * 31 % 500,
        number * 131 % 9000
    )
    .into_bytes()
}

fn lines(context: &Context) -> u64 {
    if context.scale == Scale::Once { 1_000 } else { 100_000 }
}

fn settings(compression: Compression) -> Settings {
    Settings { durability: Durability::Os, compression, size_bytes_max: 4 << 30, ..Settings::default() }
}

fn fill(dir: &Path, compression: Compression, records: u64, make: impl Fn(u64) -> Vec<u8>) -> Outcome<()> {
    let log = Wal::open(dir, settings(compression))?;
    for first in (0..records).step_by(GROUP as usize) {
        let bytes: Vec<Vec<u8>> = (first..(first + GROUP).min(records)).map(&make).collect();
        let parts: Vec<[&[u8]; 1]> = bytes.iter().map(|bytes| [bytes.as_slice()]).collect();
        let batch: Vec<Record<'_>> = parts.iter().map(|parts| Record::new(parts)).collect();
        standpipe_wal::Ticket::wait(log.append_batch(&batch)?)?;
    }
    Ok(log.close()?)
}

fn used_bytes(dir: &Path) -> Outcome<u64> {
    let found = standpipe_wal::inspect(&standpipe_wal::Dir::open_existing(dir)?)?;
    Ok(found.segments.iter().map(|segment| segment.used_bytes).sum())
}

fn text(
    context: &Context,
    compression: Compression,
    how: fn(Replay<'_, Dir>) -> Replay<'_, Dir>,
) -> Outcome<Sample> {
    let (dir, records) = (context.dir("log")?, lines(context));
    fill(&dir, compression, records, line)?;
    let bytes: u64 = (0..records).map(|number| line(number).len() as u64).sum();
    let used = used_bytes(&dir)?;
    let recovering = Wal::recover(&dir, settings(compression))?;
    let sample = repeat(context, UNIT, || {
        let (began, mut seen) = (Instant::now(), 0_u64);
        how(recovering.replay(recovering.start())).each(|entry| {
            seen += entry.payload.len() as u64;
            Ok::<(), Infallible>(())
        })?;
        let took = began.elapsed();
        check("bytes of lines", seen, bytes)?;
        Ok((records, took))
    })?;
    Ok(sample.with(Figure::told("space", used as f64 / bytes as f64, "x")))
}

fn bare(context: &Context) -> Outcome<Sample> {
    let records = lines(context);
    let blocks: Vec<(usize, Vec<u8>)> = (0..records)
        .step_by(GROUP as usize)
        .map(|first| {
            // As the log lays them out: eight bytes in front of each.
            let mut raw = Vec::new();
            for number in first..(first + GROUP).min(records) {
                let line = line(number);
                raw.extend_from_slice(&(line.len() as u64 | 1 << 32).to_le_bytes());
                raw.extend_from_slice(&line);
            }
            (raw.len(), compress(&raw))
        })
        .collect();
    let mut place = vec![0; blocks.iter().map(|(length, _)| *length).max().unwrap_or_default()];
    repeat(context, UNIT, || {
        let began = Instant::now();
        for (length, block) in &blocks {
            check("a block's length", decompress_into(black_box(block), &mut place)?, *length)?;
        }
        Ok((records, began.elapsed()))
    })
}

fn apply(context: &Context, key: Option<fn(u64) -> u64>) -> Outcome<Sample> {
    let (dir, records) = (context.dir("log")?, lines(context) / 5);
    fill(&dir, Compression::None, records, |number| [&number.to_le_bytes()[..], &[7; 248]].concat())?;
    let recovering = Wal::recover(&dir, settings(Compression::None))?;
    let number = |payload: &[u8]| payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let work = |_: &standpipe_wal::Entry<'_>| {
        let until = Instant::now() + WORK;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        Ok::<(), Infallible>(())
    };
    repeat(context, UNIT, || {
        let began = Instant::now();
        let replay = recovering.replay(recovering.start());
        let replayed = match key {
            Some(key) => {
                replay.workers(0).by_key(|entry| Some(Key::from(key(number(entry.payload)))), work)?
            }
            None => replay.each(work)?,
        };
        let took = began.elapsed();
        check("records applied", replayed.records, records)?;
        Ok((records, took))
    })
}
