//! How fast a log is replayed on this machine: in order, in batches, by key, and what several threads give.
//!
//! `cargo run --release -p standpipe-wal --example replay -- [DIR] [RECORDS] [ROUNDS]`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use standpipe_wal::{Durability, Key, Log, Lsn, Record, Recovering, Settings, Ticket, Wal};

const RECORD_BYTES: usize = 256;
/// Work for each record where it says 5 µs.
const WORK: Duration = Duration::from_micros(5);
/// How many records get that much work.
const WORKED: usize = 40_000;

type Case<'a> = (&'a str, Box<dyn Fn() -> u64 + 'a>);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let records = arguments.next().map_or(1_000_000, |records| records.parse().unwrap());
    let rounds = arguments.next().map_or(7, |rounds| rounds.parse().unwrap());
    let place = tempfile::tempdir_in(place).unwrap();

    let memory: Vec<u8> = (0..records * (RECORD_BYTES + 8)).map(|at| at as u8).collect();
    let whole = recovered(&place.path().join("whole"), records);
    let worked = recovered(&place.path().join("worked"), WORKED);
    let steps = calibrate();

    let pass = || memory.chunks(RECORD_BYTES + 8).map(|one| u64::from(crc32c::crc32c(one) != 0)).sum();
    let plain: [Case<'_>; 8] = [
        ("a checksummed pass over memory", Box::new(pass)),
        ("each, 1 thread", Box::new(|| each(&whole, 1))),
        ("each, 2 threads", Box::new(|| each(&whole, 2))),
        ("batches of 1024, 1 thread", Box::new(|| batches(&whole, 1))),
        ("batches of 1024, 2 threads", Box::new(|| batches(&whole, 2))),
        ("by key, disjoint, 2 threads", Box::new(|| by_key(&whole, 2, u64::MAX, 0))),
        ("by key, all the same, 2 threads", Box::new(|| by_key(&whole, 2, 1, 0))),
        ("by key, all barriers, 2 threads", Box::new(|| by_key(&whole, 2, 0, 0))),
    ];
    table(&format!("{records} records of {RECORD_BYTES} B, no work for each"), &plain, rounds);
    let with_work: [Case<'_>; 5] = [
        ("each, 1 thread", Box::new(|| worked_each(&worked, 1, steps))),
        ("each, 2 threads", Box::new(|| worked_each(&worked, 2, steps))),
        ("by key, disjoint, 2 threads", Box::new(|| by_key(&worked, 2, u64::MAX, steps))),
        ("by key, all the same, 2 threads", Box::new(|| by_key(&worked, 2, 1, steps))),
        ("by key, all barriers, 2 threads", Box::new(|| by_key(&worked, 2, 0, steps))),
    ];
    table(&format!("{WORKED} records of {RECORD_BYTES} B, 5 µs of work for each"), &with_work, rounds);
    for count in [10_000, 100_000, 1_000_000] {
        let log = recovered(&place.path().join(count.to_string()), count);
        let cases: [Case<'_>; 2] =
            [("each, 1 thread", Box::new(|| each(&log, 1))), ("each, 2 threads", Box::new(|| each(&log, 2)))];
        table(&format!("{count} records of {RECORD_BYTES} B"), &cases, rounds);
    }
}

/// A log with this many records, ready to be replayed.
fn recovered(place: &Path, records: usize) -> Recovering {
    let settings = Settings { durability: Durability::Os, size_bytes_max: 4 << 30, ..Settings::default() };
    let log = Wal::open(place, settings.clone()).unwrap();
    let mut payload = [7; RECORD_BYTES];
    for number in 0..records {
        payload[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let ticket = log.append(Record::new(&[&payload])).unwrap();
        if number % 10_000 == 9_999 {
            ticket.wait().unwrap();
        }
    }
    drop(log);
    Wal::recover(place, settings).unwrap()
}

fn each(log: &Recovering, workers: usize) -> u64 {
    let replay = log.replay(Lsn::FIRST).workers(workers);
    replay.each(|entry| done(black_box(entry.payload[0]))).unwrap().records
}

fn worked_each(log: &Recovering, workers: usize, steps: u64) -> u64 {
    let replay = log.replay(Lsn::FIRST).workers(workers);
    replay.each(|entry| done(work(entry.payload, steps))).unwrap().records
}

fn batches(log: &Recovering, workers: usize) -> u64 {
    let replay = log.replay(Lsn::FIRST).workers(workers);
    replay.batches(|entries| done(black_box(entries.len()))).unwrap().records
}

/// With so many keys; none at all for 0.
fn by_key(log: &Recovering, workers: usize, keys: u64, steps: u64) -> u64 {
    let key_of = |entry: &standpipe_wal::Entry<'_>| {
        let number = u64::from_le_bytes(entry.payload[..8].try_into().unwrap());
        number.checked_rem(keys).map(Key::from)
    };
    let replay = log.replay(Lsn::FIRST).workers(workers);
    replay.by_key(key_of, |entry| done(work(entry.payload, steps))).unwrap().records
}

fn done<T>(_: T) -> Result<(), ()> {
    Ok(())
}

/// So many steps that depend on each other, so that they take the same on any core.
fn work(payload: &[u8], steps: u64) -> u64 {
    let mut state = u64::from(black_box(payload[0]));
    for step in 0..steps {
        state = (state ^ step).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7);
    }
    black_box(state)
}

/// How many steps [`WORK`] is.
fn calibrate() -> u64 {
    const STEPS: u64 = 1 << 20;
    let took = (0..9).map(|_| {
        let began = Instant::now();
        work(&[7], STEPS);
        began.elapsed()
    });
    let best = took.min().unwrap();
    (STEPS as f64 * WORK.as_secs_f64() / best.as_secs_f64()) as u64
}

/// In turns, so that a moment in which the machine is busy with something else hits all alike. Where others use the
/// cores, the best round says more than the median, and the processor's time more than the clock's.
fn table(title: &str, cases: &[Case<'_>], rounds: usize) {
    let mut took = vec![Vec::new(); cases.len()];
    let mut used = vec![Vec::new(); cases.len()];
    let mut records = vec![0; cases.len()];
    for _ in 0..=rounds {
        for (at, (_, case)) in cases.iter().enumerate() {
            let (began, cpu) = (Instant::now(), cpu_time());
            records[at] = case();
            took[at].push(began.elapsed());
            used[at].push(cpu_time() - cpu);
        }
    }
    println!("\n{title}, {rounds} rounds");
    println!("{:36} {:>9} {:>9} {:>9} {:>9}", "ms", "median", "best", "cpu", "M/s best");
    for (at, (name, _)) in cases.iter().enumerate() {
        let [(median, best), (cpu, _)] = [&mut took[at], &mut used[at]].map(middle_and_least);
        let rate = records[at] as f64 / best / 1e3;
        println!("{name:36} {median:>9.2} {best:>9.2} {cpu:>9.2} {rate:>9.2}");
    }
}

/// In milliseconds, without the first one, which warms up.
fn middle_and_least(times: &mut Vec<Duration>) -> (f64, f64) {
    times.remove(0);
    times.sort();
    (times[times.len() / 2].as_secs_f64() * 1e3, times[0].as_secs_f64() * 1e3)
}

/// What all threads of this process used so far.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
