//! How much group commit gives on this disk: durable appends a second by one async writer and by 64.
//!
//! `cargo run --release -p standpipe-wal --example group_commit -- [DIR] [SECONDS]`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use standpipe_wal::{Log, Record, Settings, Ticket, Wal};

const RECORD: [u8; 256] = [7; 256];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let seconds = arguments.next().map_or(3.0, |seconds| seconds.parse().unwrap());
    let span = Duration::from_secs_f64(seconds);
    let place = tempfile::tempdir_in(place).unwrap();

    // In turns, so that a moment in which the disk or the machine is busy with something else hits all alike.
    let (mut blocked, mut asynchronous) = (Vec::new(), vec![Vec::new(); 6]);
    for round in 0..ROUNDS {
        let dir = |name: &str| place.path().join(format!("{name}-{round}"));
        blocked.push(blocking(&dir("blocking"), span / ROUNDS));
        for (at, (threads, writers)) in CASES.into_iter().enumerate() {
            asynchronous[at].push(rate(
                &dir(&format!("{threads}-{writers}")),
                threads,
                writers,
                span / ROUNDS,
            ));
        }
    }
    println!("medians of {ROUNDS} rounds, 256 B records, durable appends a second");
    println!("1 blocking writer {:.0}", median(&mut blocked));
    let medians: Vec<f64> = asynchronous.iter_mut().map(|rates| median(rates)).collect();
    for (name, rates) in ["current_thread", "multi_thread(2)"].into_iter().zip(medians.chunks(3)) {
        let ratio = rates[2] / rates[0];
        println!(
            "{name}: 1 async writer {:.0}, 8 {:.0}, 64 {:.0}, ratio {ratio:.1}",
            rates[0], rates[1], rates[2]
        );
    }
}

const ROUNDS: u32 = 7;

/// Worker threads (0: the current thread) and writers.
const CASES: [(usize, usize); 6] = [(0, 1), (0, 8), (0, 64), (2, 1), (2, 8), (2, 64)];

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn settings() -> Settings {
    Settings { size_bytes_max: 8 << 30, ..Settings::default() }
}

fn blocking(place: &std::path::Path, span: Duration) -> f64 {
    let log = Wal::open(place, settings()).unwrap();
    let began = Instant::now();
    let mut done = 0;
    while began.elapsed() < span {
        log.append(Record::new(&[&RECORD])).unwrap().wait().unwrap();
        done += 1;
    }
    f64::from(done) / began.elapsed().as_secs_f64()
}

fn rate(place: &std::path::Path, threads: usize, writers: usize, span: Duration) -> f64 {
    let runtime = if threads == 0 {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap()
    };
    let log = Arc::new(Wal::open(place, settings()).unwrap());
    let done = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        let began = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|_| {
                let (log, done, stop) = (log.clone(), done.clone(), stop.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        log.append(Record::new(&[&RECORD])).unwrap().await.unwrap();
                        if done.fetch_add(1, Ordering::Relaxed) % 64 == 0 && began.elapsed() > span {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
    })
}
