//! Replaying a log: what is promised of order, errors, panics, memory and damage.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod by_key;
#[path = "../common/mod.rs"]
mod common;
mod context;
mod decode;
mod in_order;
mod transactions;

use std::convert::Infallible;

use common::{batch, open_with, payload, small};
use standpipe_testkit::{MemStorage, Random};
use standpipe_wal::{Log, LogError, Lsn, Record, Recovering, ReplayError, Settings, Ticket, Wal};

type Records = Vec<(u64, Vec<u8>)>;

fn recover(disk: &MemStorage) -> Recovering<MemStorage> {
    Wal::recover_in(disk.clone(), Settings { size_bytes_max: 1 << 30, ..small() }).unwrap()
}

/// A closed log of records alone and in batches, large ones and empty ones, pins, and gaps in the numbers.
fn random_log(seed: u64, bytes: usize) -> (MemStorage, Records) {
    let mut random = Random::new(seed);
    let segment_bytes = [16 << 10, 64 << 10, 1 << 20][random.below(3) as usize];
    let disk = MemStorage::new();
    let log = open_with(&disk, Settings { segment_bytes, size_bytes_max: 1 << 30, ..small() }).unwrap();
    let mut records = Vec::new();
    let mut left = bytes as i64;
    while left > 0 {
        let number = records.len() as u64;
        let len = [0, 20, 300, 300, 300, 9000][random.below(6) as usize] as usize;
        match random.below(16) {
            0 => drop(log.pin(&[random.below(4) as u8], &payload(number, len)).unwrap().wait().unwrap()),
            1 => log.advance_to(Lsn::new(log.end().number() + random.below(50))).unwrap(),
            2..=5 => {
                let several: Vec<_> = (0..1 + random.below(80))
                    .map(|at| sized(number + at, random.below(500) as usize))
                    .collect();
                let last = batch(&log, &several).unwrap().number();
                left -= several.iter().map(Vec::len).sum::<usize>() as i64;
                records.extend((last + 1 - several.len() as u64..).zip(several));
            }
            _ => {
                let bytes = sized(number, len);
                let ticket = log.append(Record::new(&[&bytes])).unwrap();
                records.push((ticket.lsn().number(), bytes));
                left -= len as i64 + 8;
            }
        }
    }
    log.close().unwrap();
    (disk, records)
}

fn sized(number: u64, len: usize) -> Vec<u8> {
    if len == 0 { Vec::new() } else { payload(number, len) }
}

/// What a replay in order delivers, and how it ended.
fn replayed(
    recovering: &Recovering<MemStorage>,
    workers: usize,
) -> (Records, Result<Lsn, ReplayError<Infallible>>) {
    let mut out = Vec::new();
    let replay = recovering.replay(recovering.start()).workers(workers).block(4096);
    let ended = replay.each(|entry| {
        out.push((entry.lsn.number(), entry.payload.to_vec()));
        Ok(())
    });
    (out, ended.map(|told| told.end))
}

fn corrupt(error: &LogError) -> (String, u64, u64, String) {
    match error {
        LogError::Corrupt { segment, offset, lsn, what } => {
            (segment.clone(), *offset, lsn.number(), what.clone())
        }
        other => panic!("{other}"),
    }
}
