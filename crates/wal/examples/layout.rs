//! The log's own layout of records in a frame beside bincode 2 and postcard: size, and time to lay down and to read.
//! All three hold the same: a first number for the frame, and a kind and bytes for each record. No checksums.
//!
//! `cargo run --release -p standpipe-wal --example layout -- [ROUNDS]`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

// The very code of the log, which is not public.
#[allow(dead_code, unreachable_pub, reason = "the log uses the rest")]
#[path = "../src/bytes.rs"]
mod bytes;
#[allow(dead_code, unreachable_pub, reason = "the log uses the rest")]
#[path = "../src/record.rs"]
mod record;
#[allow(dead_code, unreachable_pub, reason = "the log uses the rest")]
#[path = "../src/seal.rs"]
mod seal;

use std::{hint::black_box, time::Instant};

use bincode::{BorrowDecode, Encode, config};
use record::{HEADER_BYTES, Item, Kind, Walk};
use serde::{Deserialize, Serialize};
use standpipe_log::Lsn;

/// The header that the log puts in front of each frame, in bytes; its checksum and proof are part of it.
const FRAME_BYTES: usize = 32;
const BASE: u64 = 123_456_789;

#[derive(Encode, BorrowDecode, Serialize, Deserialize)]
struct One<'a> {
    kind: u8,
    #[serde(borrow)]
    payload: &'a [u8],
}

#[derive(Encode, BorrowDecode, Serialize, Deserialize)]
struct Frame<'a> {
    base: u64,
    #[serde(borrow)]
    records: Vec<One<'a>>,
}

/// A record that stands by itself, as logs without frames write it: its own number and checksum.
#[derive(Encode, BorrowDecode, Serialize, Deserialize)]
struct Alone<'a> {
    checksum: u32,
    lsn: u64,
    #[serde(borrow)]
    one: One<'a>,
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(31, |rounds| rounds.parse().unwrap());
    println!(
        "nanoseconds and bytes for each record, medians of {rounds} rounds; bytes are without the payload"
    );
    for (size, count) in [(16, 1000), (64, 1000), (256, 1000), (1024, 250), (256, 1)] {
        let payloads: Vec<Vec<u8>> =
            (0..count).map(|number| (0..size).map(|at| (number * 31 + at * 7) as u8).collect()).collect();
        println!("\n{count} records of {size} B in a frame");
        println!("{:28} {:>9} {:>9} {:>9}", "", "bytes", "encode", "decode");
        compare(&payloads, size, rounds);
    }
}

struct Row<'a> {
    name: &'a str,
    bytes: usize,
    encode: Box<dyn FnMut() + 'a>,
    decode: Box<dyn FnMut() -> usize + 'a>,
}

fn compare(payloads: &[Vec<u8>], size: usize, rounds: usize) {
    let count = payloads.len();
    let room = (size + 40) * count + 64;
    let frame =
        || Frame { base: BASE, records: payloads.iter().map(|payload| One { kind: 1, payload }).collect() };
    let alone = |at: usize| Alone {
        checksum: 0x89ab_cdef,
        lsn: BASE + at as u64,
        one: One { kind: 1, payload: &payloads[at] },
    };

    let mut ours = Vec::with_capacity(room);
    lay(&mut ours, payloads);
    let laid = ours.clone();
    let bin_frame = bincode::encode_to_vec(frame(), config::standard()).unwrap();
    let post_frame = postcard::to_allocvec(&frame()).unwrap();
    let bin_alone: Vec<Vec<u8>> =
        (0..count).map(|at| bincode::encode_to_vec(alone(at), config::standard()).unwrap()).collect();
    let post_alone: Vec<Vec<u8>> = (0..count).map(|at| postcard::to_allocvec(&alone(at)).unwrap()).collect();
    let (bin_value, post_value) = (frame(), frame());
    let mut buffers = vec![vec![0; room]; 4].into_iter();
    let mut buffer = || buffers.next().unwrap();
    let (mut first, mut second, mut third, mut fourth) = (buffer(), buffer(), buffer(), buffer());

    let mut rows = [
        Row {
            name: "the log's own",
            bytes: laid.len() + FRAME_BYTES,
            encode: Box::new(|| lay(&mut ours, black_box(payloads))),
            decode: Box::new(|| walk(black_box(&laid), count)),
        },
        Row {
            name: "bincode 2, a frame",
            bytes: bin_frame.len(),
            encode: Box::new(|| {
                black_box(
                    bincode::encode_into_slice(black_box(&bin_value), &mut first, config::standard())
                        .unwrap(),
                );
            }),
            decode: Box::new(|| {
                let bytes = black_box(&bin_frame);
                let (frame, _): (Frame<'_>, _) =
                    bincode::borrow_decode_from_slice(bytes, config::standard()).unwrap();
                frame.records.iter().map(|one| one.payload.len()).sum()
            }),
        },
        Row {
            name: "postcard, a frame",
            bytes: post_frame.len(),
            encode: Box::new(|| {
                black_box(postcard::to_slice(black_box(&post_value), &mut second).unwrap());
            }),
            decode: Box::new(|| {
                let frame: Frame<'_> = postcard::from_bytes(black_box(&post_frame)).unwrap();
                frame.records.iter().map(|one| one.payload.len()).sum()
            }),
        },
        Row {
            name: "bincode 2, each by itself",
            bytes: bin_alone.iter().map(|bytes| bytes.len() + 4).sum(),
            encode: Box::new(|| {
                let mut at = 0;
                for number in 0..count {
                    let len =
                        bincode::encode_into_slice(alone(number), &mut third[at + 4..], config::standard())
                            .unwrap();
                    third[at..at + 4].copy_from_slice(&(len as u32).to_le_bytes());
                    at += len + 4;
                }
                black_box(at);
            }),
            decode: Box::new(|| {
                let each = black_box(&bin_alone).iter().map(|bytes| {
                    let (alone, _): (Alone<'_>, _) =
                        bincode::borrow_decode_from_slice(bytes, config::standard()).unwrap();
                    black_box(alone.lsn);
                    alone.one.payload.len()
                });
                each.sum()
            }),
        },
        Row {
            name: "postcard, each by itself",
            bytes: post_alone.iter().map(|bytes| bytes.len() + 4).sum(),
            encode: Box::new(|| {
                let mut at = 0;
                for number in 0..count {
                    let len = postcard::to_slice(&alone(number), &mut fourth[at + 4..]).unwrap().len();
                    fourth[at..at + 4].copy_from_slice(&(len as u32).to_le_bytes());
                    at += len + 4;
                }
                black_box(at);
            }),
            decode: Box::new(|| {
                let each = black_box(&post_alone).iter().map(|bytes| {
                    let alone: Alone<'_> = postcard::from_bytes(bytes).unwrap();
                    black_box(alone.lsn);
                    alone.one.payload.len()
                });
                each.sum()
            }),
        },
    ];
    // In turns, so that a moment in which the machine is busy with something else hits all alike.
    let mut took = vec![(Vec::new(), Vec::new()); rows.len()];
    let repeat = (200_000 / count).clamp(1, 50_000);
    for _ in 0..=rounds {
        for (row, took) in rows.iter_mut().zip(&mut took) {
            took.0.push(timed(repeat, || (row.encode)()) / count as f64);
            took.1.push(timed(repeat, || assert_eq!((row.decode)(), size * count)) / count as f64);
        }
    }
    for (row, took) in rows.iter().zip(&mut took) {
        let bytes = row.bytes as f64 / count as f64 - size as f64;
        println!("{:28} {bytes:>9.2} {:>9.2} {:>9.2}", row.name, median(&mut took.0), median(&mut took.1));
    }
}

fn lay(out: &mut Vec<u8>, payloads: &[Vec<u8>]) {
    out.clear();
    for payload in payloads {
        record::lay(out, Kind::Data, &[payload]);
    }
    assert!(out.len() >= HEADER_BYTES);
}

fn walk(bytes: &[u8], count: usize) -> usize {
    let mut walk = Walk::new(count as u32, Lsn::new(BASE));
    let mut sum = 0;
    while let Some(item) = walk.next(bytes) {
        if let Ok(Item::Data { lsn, bytes: place }) = item {
            black_box(lsn);
            sum += bytes[place].len();
        }
    }
    sum
}

/// Nanoseconds for each of so many times.
fn timed(repeat: usize, mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..repeat {
        work();
    }
    began.elapsed().as_secs_f64() * 1e9 / repeat as f64
}

/// Without the first one, which warms up.
fn median(took: &mut Vec<f64>) -> f64 {
    took.remove(0);
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}
