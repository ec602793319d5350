//! Logs: 256-byte records that do not compress, through the engine that a program would pick, with the settings that
//! its own documentation gives for a record that must not be lost. What was appended is read back after the log was
//! closed and opened again: every record of every writer, once, in the writer's order.

mod append;
mod engine;
mod home;
mod okaywal;
mod raft_engine;
mod record;
mod replay;
mod replayed;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod standpipe;
mod wal_db;
mod which;

use standpipe_harness::Workload;

use self::{engine::Promise, record::RECORD_BYTES, which::ENGINES};
use crate::{
    closed_loop::Clock,
    comparison::Comparison,
    limit::{PAGE_BYTES, overwrite},
};

const UNIT: &str = "records/s";
/// Records between two looks at the clock where a record takes about as long as a look.
const STRIDE: u32 = 64;

/// The comparisons of this group.
pub(crate) fn workloads() -> Vec<Workload> {
    let comparisons = [
        durable(1),
        durable(8),
        durable(64),
        batch(100),
        batch(4096),
        os(1),
        os(8),
        replay::comparison("10k", 10_000),
        replay::comparison("100k", 100_000),
        replay::comparison("1m", 1_000_000),
        replayed::compressed(),
        replayed::applied("disjoint", "a key of its own for each", |number| number),
        replayed::applied("same", "the same key for all", |_| 7),
        rotation(),
    ];
    let workloads = comparisons.into_iter().flat_map(Comparison::workloads);
    // A quarter of a gigabyte, filled, copied and read by each.
    let is_large = |workload: &Workload| workload.name.starts_with("log.replay.1m/");
    workloads.map(|workload| if is_large(&workload) { workload.full_only() } else { workload }).collect()
}

/// What changing over to another segment costs those who wait.
fn rotation() -> Comparison {
    let comparison = Comparison::new(
        "log.rotation",
        "256 B records, each durable before its writer's next, 8 tasks on tokio's workers; the log is truncated as it grows",
    );
    comparison
        .with("standpipe-rotating", "segments of 256 KiB: a new one every 64 groups", |context| {
            append::truncated(context, 8, 256 << 10)
        })
        .with("standpipe-one-segment", "one segment of 64 MiB", |context| {
            append::truncated(context, 8, 64 << 20)
        })
}

fn durable(threads: u64) -> Comparison {
    let mut comparison = Comparison::new(
        &format!("log.durable.w{threads}"),
        &format!("256 B records, each durable before its writer's next, {threads} blocking threads"),
    );
    for (name, how, which) in ENGINES {
        comparison =
            comparison.with(name, how, move |context| which.append(context, Promise::Durable, threads, 1));
    }
    let bytes = (threads as usize * RECORD_BYTES).next_multiple_of(PAGE_BYTES);
    comparison
        .with(
            "standpipe-async",
            "as many tasks on tokio's workers, one for each core, instead of threads",
            move |context| append::in_tasks(context, threads),
        )
        .with(
            "standpipe-async-recycling",
            "the same, and the log is truncated as it grows, so that its files are used again",
            move |context| append::truncated(context, threads, 4 << 20),
        )
        .with(
            "limit-pwrite",
            "the records of one sync in one aligned pwrite into a file already written once, fdatasync; one thread",
            move |context| overwrite(context, bytes, threads, true, Clock::Each, UNIT),
        )
}

fn batch(records: usize) -> Comparison {
    let mut comparison = Comparison::new(
        &format!("log.batch{records}"),
        &format!("256 B records, {records} to a batch, each batch durable before the next, 1 thread"),
    );
    for (name, how, which) in ENGINES {
        comparison =
            comparison.with(name, how, move |context| which.append(context, Promise::Durable, 1, records));
    }
    let comparison = comparison.with(
        "standpipe-recycling",
        "the log is truncated as it grows, so that its files, and their place in the page cache, are used again",
        move |context| append::truncated_batches(context, records),
    );
    comparison.with(
        "limit-pwrite",
        "the batch in one aligned pwrite into a file already written once, fdatasync",
        move |context| {
            let bytes = (records * RECORD_BYTES).next_multiple_of(PAGE_BYTES);
            overwrite(context, bytes, records as u64, true, Clock::Each, UNIT)
        },
    )
}

fn os(threads: u64) -> Comparison {
    let mut comparison = Comparison::new(
        &format!("log.os.w{threads}"),
        &format!(
            "256 B records, each survives the death of the process before its writer's next, {threads} threads"
        ),
    );
    for (name, how, which) in ENGINES.iter().filter(|(_, _, which)| which.keeps(Promise::Os)) {
        comparison =
            comparison.with(name, how, move |context| which.append(context, Promise::Os, threads, 1));
    }
    if threads > 1 {
        return comparison;
    }
    comparison
        .with(
            "standpipe-pipelined",
            "waits for every 64th record only: the up to 63 before it promise less than the others' do",
            append::pipelined,
        )
        .with("limit-pwrite", "a pwrite of 256 B for each into a file already written once", |context| {
            overwrite(context, RECORD_BYTES, 1, false, Clock::Every(STRIDE), UNIT)
        })
        .with("limit-memcpy", "a copy into 64 MiB of memory for each, which promises nothing", append::memcpy)
}
