use std::{
    fs::{self, File},
    path::Path,
    time::Instant,
};

use standpipe_harness::{Context, Figure, Latency, Outcome, Sample, Scale};

use super::{
    UNIT,
    engine::{Promise, Replayed},
    record::{RECORD_BYTES, Record, Records, Seen},
    standpipe::Standpipe,
    which::{ENGINES, Which},
};
use crate::{closed_loop::repeat, comparison::Comparison, limit::mapped};

/// A closed log is opened and every record is looked at.
pub(crate) fn comparison(name: &str, records: u64) -> Comparison {
    let mut comparison = Comparison::new(
        &format!("log.replay.{name}"),
        &format!(
            "a closed log of {records} records of 256 B that 64 threads appended one by one, in the page cache: from opening it \
         to its last record, checksums verified, each time on a fresh copy"
        ),
    );
    // Okaywal lets go of what is older than its last checkpoint, which comes before it holds more.
    let has_room = |which: Which| which != Which::OkayWal || records <= 100_000;
    for (name, how, which) in ENGINES.iter().filter(|(_, _, which)| has_room(*which)) {
        comparison = comparison.with(name, how, move |context| {
            replay(context, *which, which.made_with(), records, |dir, seen| which.replay(dir, seen))
        });
    }
    comparison
        .with("standpipe-mapped", "the same, sealed segments mapped", move |context| {
            replay(context, Which::Standpipe, Promise::Durable, records, Standpipe::replay_mapped)
        })
        .with("standpipe-os", "a log made without syncs: each record is a frame of its own", move |context| {
            replay(context, Which::Standpipe, Promise::Os, records, |dir, seen| {
                Which::Standpipe.replay(dir, seen)
            })
        })
        .with(
            "limit-mapped",
            "a file of the bare records, mapped; CRC-32C of each record, compared with a list in memory",
            move |context| mapped_pass(context, records),
        )
}

/// A hundredth where it only has to be seen that it runs.
fn sized(context: &Context, records: u64) -> u64 {
    if context.scale == Scale::Once { records / 100 } else { records }
}

fn replay(
    context: &Context,
    which: Which,
    promise: Promise,
    records: u64,
    read: impl Fn(&Path, Seen) -> Outcome<Replayed>,
) -> Outcome<Sample> {
    let records = sized(context, records);
    let original = context.dir("original")?;
    let counts = which.fill(&original, promise, records)?;
    let checked = context.scratch.join("checked");
    read(copy(&original, &checked)?, Seen::whole())?.seen.check(&counts)?;
    let place = context.scratch.join("copy");
    let mut opening = Latency::since(Instant::now());
    let sample = repeat(context, UNIT, || {
        copy(&original, &place)?;
        let began = Instant::now();
        let replayed = read(&place, Seen::numbers())?;
        replayed.seen.check(&counts)?;
        fs::remove_dir_all(&place)?;
        opening.record_duration(replayed.opened - began);
        Ok((records, replayed.ended - began))
    })?;
    Ok(sample.with(Figure::told("open", opening.percentile_us(50.0) / 1e3, "ms")))
}

/// A copy of a directory of files, written back: what an engine syncs when it opens shall be its own.
fn copy<'p>(from: &Path, to: &'p Path) -> Outcome<&'p Path> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let place = to.join(entry.file_name());
            fs::copy(entry.path(), &place)?;
            File::open(place)?.sync_all()?;
        }
    }
    Ok(to)
}

fn mapped_pass(context: &Context, records: u64) -> Outcome<Sample> {
    let mut source = Records::of(0);
    let all: Vec<Record> = (0..sized(context, records)).map(|_| *source.next()).collect();
    let path = context.dir("original")?.join("records");
    fs::write(&path, all.concat())?;
    let sums: Vec<u32> = all.iter().map(|record| crc32c::crc32c(record)).collect();
    drop(all);
    repeat(context, UNIT, || {
        let began = Instant::now();
        let mapped = mapped(&File::open(&path)?)?;
        let mut seen = Seen::numbers();
        for (record, sum) in mapped.chunks_exact(RECORD_BYTES).zip(&sums) {
            if crc32c::crc32c(record) != *sum {
                return Err("a record's checksum".into());
            }
            seen.record(record);
        }
        let ended = Instant::now();
        seen.check(&[source.count()])?;
        Ok((source.count(), ended - began))
    })
}
