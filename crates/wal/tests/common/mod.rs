#![allow(dead_code, unreachable_pub, reason = "each test file uses some")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

pub mod alloc;
pub mod cuts;
pub mod diary;
pub mod hostile;
pub mod mended;
pub mod mutations;
pub mod rows;
pub mod truth;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use standpipe_testkit::MemStorage;
use standpipe_wal::{Entropy, Log, LogError, Lsn, Reader, Record, Settings, Ticket, Wal};

pub const PATIENCE: Duration = Duration::from_secs(20);

/// Small segments, and nothing that depends on time.
pub fn small() -> Settings {
    Settings {
        segment_bytes: 16 << 10,
        record_bytes_max: 64 << 10,
        size_bytes_max: 64 << 20,
        idle_proof: None,
        // Whoever needs a segment makes it, so that the calls of two runs are the same.
        segment_ahead: false,
        entropy: counting(1),
        ..Settings::default()
    }
}

/// A source that gives the same numbers in every run.
pub fn counting(from: u64) -> Entropy {
    let next = AtomicU64::new(from);
    Entropy::new(move || {
        let number = u128::from(next.fetch_add(1, Ordering::Relaxed));
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    })
}

pub fn open(disk: &MemStorage) -> Result<Wal<MemStorage>, LogError> {
    open_with(disk, small())
}

/// Every opening draws from a source of its own, as processes do.
pub fn open_with(disk: &MemStorage, settings: Settings) -> Result<Wal<MemStorage>, LogError> {
    static OPENED: AtomicU64 = AtomicU64::new(1);
    let entropy = counting(OPENED.fetch_add(1, Ordering::Relaxed) << 20);
    Wal::open_in(disk.clone(), Settings { entropy, ..settings })
}

pub fn append<L: Log>(log: &L, payload: &[u8]) -> Result<Lsn, LogError> {
    log.append(Record::new(&[payload]))?.wait()
}

pub fn batch<L: Log>(log: &L, payloads: &[Vec<u8>]) -> Result<Lsn, LogError> {
    let parts: Vec<[&[u8]; 1]> = payloads.iter().map(|payload| [payload.as_slice()]).collect();
    let records: Vec<Record<'_>> = parts.iter().map(|parts| Record::new(parts)).collect();
    log.append_batch(&records)?.wait()
}

/// Everything readable now.
pub fn read_all<L: Log>(log: &L) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
    let mut reader = log.follow(log.start())?;
    let mut out = Vec::new();
    while let Some(entry) = reader.next(Duration::ZERO)? {
        out.push((entry.lsn.number(), entry.payload.to_vec()));
    }
    Ok(out)
}

/// Bytes that differ from one number to the next.
pub fn payload(number: u64, len: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = format!("record {number} ").into_bytes();
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.push(state as u8);
    }
    out.truncate(len.max(1));
    out
}

pub fn fill(log: &impl Log, numbers: std::ops::Range<u64>, len: usize) -> Vec<(u64, Vec<u8>)> {
    numbers
        .map(|number| {
            let bytes = payload(number, len);
            (append(log, &bytes).unwrap().number(), bytes)
        })
        .collect()
}

/// Whether a check finds something wrong: it says so, or panics.
pub fn is_found<T>(check: impl FnOnce() -> Result<T, String>) -> Result<(), String> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)) {
        Ok(Ok(_)) => Err("the planted failure was not found".to_owned()),
        Ok(Err(wrong)) => {
            println!("found: {wrong}");
            Ok(())
        }
        Err(_) => {
            println!("found: a panic");
            Ok(())
        }
    }
}

/// Numbers and bytes.
pub type Records = Vec<(u64, Vec<u8>)>;

/// Records in several groups, a batch, a pin and a rotation; stops at the first refusal.
pub fn script(log: &impl Log) -> (Records, Result<(), LogError>) {
    let mut kept = Vec::new();
    let outcome = (|| {
        for number in 0..6 {
            let bytes = payload(number, 3000);
            kept.push((append(log, &bytes)?.number(), bytes));
        }
        log.pin(b"key", b"value")?.wait()?;
        let several: Vec<_> = (10..14).map(|number| payload(number, 500)).collect();
        let last = batch(log, &several)?.number();
        kept.extend((last - 3..).zip(several));
        for number in 20..24 {
            let bytes = payload(number, 3000);
            kept.push((append(log, &bytes)?.number(), bytes));
        }
        Ok(())
    })();
    (kept, outcome)
}
