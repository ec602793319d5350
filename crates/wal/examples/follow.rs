//! What a reader at the head of a log costs, and what it costs the writer:
//! `cargo run --release -p standpipe-wal --example follow`
#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use standpipe_wal::{Durability, Log, Reader, Record, Settings, Ticket, Wal};

const RECORD: [u8; 256] = [7; 256];
const SPAN: Duration = Duration::from_millis(700);

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    for round in 1..=3 {
        let (alone, _) = beside(false)?;
        let (followed, seen) = beside(true)?;
        println!(
            "round {round}: 1 writer, Os, alone {alone:.0}K records/s; beside a reader {followed:.0}K, of which it saw {seen:.0}K"
        );
    }
    for records in [1, 64] {
        at_the_head(records)?;
    }
    Ok(())
}

fn open() -> Outcome<(tempfile::TempDir, Wal)> {
    let place = tempfile::tempdir()?;
    let settings = Settings { durability: Durability::Os, size_bytes_max: 8 << 30, ..Settings::default() };
    let log = Wal::open(place.path(), settings)?;
    Ok((place, log))
}

/// Thousands of records a second that were written, and that a reader saw.
fn beside(has_reader: bool) -> Outcome<(f64, f64)> {
    let (_place, log) = open()?;
    let (is_over, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    let written = thread::scope(|scope| {
        let reading = has_reader.then(|| {
            scope.spawn(|| -> Outcome {
                let mut reader = log.follow(log.start())?;
                while !is_over.load(Relaxed) {
                    while reader.next(Duration::from_millis(20))?.is_some() {
                        seen.fetch_add(1, Relaxed);
                    }
                }
                Ok(())
            })
        });
        let (began, mut written) = (Instant::now(), 0_u64);
        while began.elapsed() < SPAN {
            log.append(Record::new(&[&RECORD]))?.wait()?;
            written += 1;
        }
        let seen = seen.load(Relaxed);
        is_over.store(true, Relaxed);
        if let Some(reading) = reading {
            reading.join().map_err(|_| "the reader panicked")??;
        }
        Ok::<_, Box<dyn Error + Send + Sync>>((written, seen))
    })?;
    let thousands = |records: u64| records as f64 / SPAN.as_secs_f64() / 1e3;
    Ok((thousands(written.0), thousands(written.1)))
}

/// A frame is appended, and then read, by one thread.
fn at_the_head(records: u64) -> Outcome {
    const ROUNDS: u32 = 20_000;
    let (_place, log) = open()?;
    let parts: Vec<[&[u8]; 1]> = (0..records).map(|_| [&RECORD[..]]).collect();
    let batch: Vec<Record<'_>> = parts.iter().map(|parts| Record::new(parts)).collect();
    let mut reader = log.follow(log.end())?;
    let (mut appending, mut reading) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        log.append_batch(&batch)?.wait()?;
        let appended = Instant::now();
        for _ in 0..records {
            reader.next(Duration::ZERO)?.ok_or("what was acknowledged is there")?;
        }
        appending += appended - began;
        reading += appended.elapsed();
    }
    println!(
        "{records} to a frame: {:?} to append it, {:?} to read it at the head",
        appending / ROUNDS,
        reading / ROUNDS
    );
    Ok(())
}
