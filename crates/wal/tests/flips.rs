//! Every byte of a log is flipped, one at a time: damage is reported or changes nothing, whatever the layout, and memory
//! stays bounded.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{
    alloc::{self, Watched},
    append, batch, fill,
    mutations::ALLOCATION_MAX,
    open, open_with, payload, read_all, small,
};
use standpipe_testkit::MemStorage;
use standpipe_wal::{Log, LogError, Lsn, Settings, Ticket, inspect, verify};

#[global_allocator]
static ALLOCATOR: Watched = Watched;

type Records = Vec<(u64, Vec<u8>)>;
type Pins = Vec<(Vec<u8>, Vec<u8>)>;

struct Sample {
    disk: MemStorage,
    records: Records,
    pins: Pins,
}

/// Three segments and more, with pins, batches, a gap and an empty record.
fn sample(close: bool) -> Sample {
    let disk = MemStorage::new();
    let log = open_with(&disk, Settings { segment_bytes: 40 << 10, ..small() }).unwrap();
    log.pin(b"schema", b"a bigint, b text").unwrap().wait().unwrap();
    let mut records = fill(&log, 0..4, 300);
    records.extend(fill(&log, 4..8, 2600));
    let several: Vec<_> = (10..13).map(|number| payload(number, 90)).collect();
    let last = batch(&log, &several).unwrap().number();
    records.extend((last - 2..).zip(several));
    log.pin(b"floor", b"7").unwrap().wait().unwrap();
    log.advance_to(Lsn::new(100)).unwrap();
    records.extend(fill(&log, 20..30, 2600));
    records.push((append(&log, b"").unwrap().number(), Vec::new()));
    records.extend(fill(&log, 30..33, 120));
    let pins = log.pinned();
    assert!(inspect(&disk).unwrap().segments.len() >= 3);
    if close {
        log.close().unwrap();
        return Sample { disk, records, pins };
    }
    let killed = disk.process_killed();
    disk.power_off();
    Sample { disk: killed, records, pins }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Reported,
    Unchanged,
    /// The last records are missing, none is altered.
    Shorter,
}

impl Sample {
    /// Opens and reads a damaged copy. Panics when anything is shown that was not written.
    fn look(&self, image: &MemStorage, what: &str) -> Seen {
        let log = match open(image) {
            Ok(log) => log,
            Err(LogError::Corrupt { .. } | LogError::Unsupported { .. } | LogError::Invalid(_)) => {
                return Seen::Reported;
            }
            Err(error) => panic!("{what}: {error}"),
        };
        match read_all(&log) {
            Err(LogError::Corrupt { .. } | LogError::Invalid(_)) => Seen::Reported,
            Err(error) => panic!("{what}: {error}"),
            Ok(left) if left == self.records && log.pinned() == self.pins => Seen::Unchanged,
            Ok(left) => {
                assert!(self.records.starts_with(&left), "{what}: a wrong record among {}", left.len());
                Seen::Shorter
            }
        }
    }

    /// The places of records in a file: their flips must be reported.
    fn payloads(&self, contents: &[u8]) -> Vec<std::ops::Range<usize>> {
        let long = self.records.iter().filter(|record| record.1.len() >= 90);
        long.filter_map(|record| {
            let at = contents.windows(record.1.len()).position(|bytes| bytes == record.1)?;
            Some(at..at + record.1.len())
        })
        .collect()
    }

    /// Every byte of every file, each with these masks (bytes that are nought with the first alone), on all cores. Returns the
    /// largest allocation meanwhile.
    fn each_flip(&self, masks: &[u8], look: impl Fn(&str, usize, u8, &MemStorage) + Sync) -> usize {
        let places: Vec<(String, usize, u8)> = self
            .disk
            .names()
            .into_iter()
            .flat_map(|name| {
                let contents = self.disk.contents(&name).unwrap();
                let of = |byte: u8| if byte == 0 { &masks[..1] } else { masks };
                let each = contents.into_iter().enumerate();
                each.flat_map(|(at, byte)| of(byte).iter().map(move |mask| (at, byte ^ mask)))
                    .map(|(at, flipped)| (name.clone(), at, flipped))
                    .collect::<Vec<_>>()
            })
            .collect();
        let next = AtomicUsize::new(0);
        alloc::forget();
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some((name, at, flipped)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let image = self.disk.process_killed();
                        image.damage(name, *at as u64, &[*flipped]);
                        look(name, *at, *flipped, &image);
                    }
                });
            }
        });
        alloc::largest()
    }
}

/// Zeros beyond what was written are tried in these steps, so that a run stays short; `FLIPS=all` tries each.
fn is_tried(at: usize, is_zero_page: bool) -> bool {
    static ALL: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| std::env::var("FLIPS").is_ok());
    *ALL || !is_zero_page || at.is_multiple_of(61)
}

/// Whether a byte lies in a 512-byte sector without anything.
fn in_zeros(contents: &[u8], at: usize) -> bool {
    let from = at / 512 * 512;
    contents[from..contents.len().min(from + 512)].iter().all(|byte| *byte == 0)
}

// One test, because what the allocator sees is of the whole process.
#[test]
fn l4_l14_every_flipped_byte_is_reported_or_harmless_in_bounded_memory() {
    let counts = Arc::new([const { AtomicUsize::new(0) }; 3]);
    let closed = sample(true);
    let masks = [0x40, 0x01, 0xff];
    let files: std::collections::HashMap<_, _> = closed
        .disk
        .names()
        .into_iter()
        .map(|name| (name.clone(), closed.disk.contents(&name).unwrap()))
        .collect();
    let payloads: std::collections::HashMap<_, _> =
        files.iter().map(|(name, contents)| (name.clone(), closed.payloads(contents))).collect();
    let tried = AtomicUsize::new(0);
    let largest = closed.each_flip(&masks, |name, at, flipped, image| {
        if !is_tried(at, in_zeros(&files[name], at)) {
            return;
        }
        let what = format!("{name} byte {at} as {flipped:#x}");
        let sound = verify(image).map(|found| found.is_sound()).unwrap_or(false);
        let seen = closed.look(image, &what);
        assert_ne!(seen, Seen::Shorter, "{what}: durable records were cut");
        assert_eq!(sound, seen == Seen::Unchanged, "{what}: verify and open differ");
        let is_record = payloads[name].iter().any(|place| place.contains(&at));
        assert!(seen == Seen::Reported || !is_record, "{what}: a record was altered and nothing said");
        tried.fetch_add(1, Ordering::Relaxed);
        counts[seen as usize].fetch_add(1, Ordering::Relaxed);
    });
    let [reported, unchanged, _] = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    let written: usize = files.values().flatten().filter(|byte| **byte != 0).count();
    println!(
        "closed log: {} segments, {written} bytes that are not nought, flips {}, reported {reported}, harmless {unchanged}",
        files.len(),
        tried.load(Ordering::Relaxed),
    );
    let in_records: usize = payloads.values().flatten().map(|place| place.len()).sum();
    assert!(
        in_records > 20_000 && reported > in_records,
        "{reported} reported, {in_records} bytes of records"
    );

    // A log that was killed: below what it proves as above; beyond, the last records may be missing.
    let killed = sample(false);
    let proven: std::collections::HashMap<String, u64> = inspect(&killed.disk)
        .unwrap()
        .segments
        .into_iter()
        .map(|segment| (segment.name, segment.proven_bytes))
        .collect();
    let counts = [const { AtomicUsize::new(0) }; 3];
    let last = killed.disk.names().into_iter().rfind(|name| proven.contains_key(name)).unwrap();
    let largest = largest.max(killed.each_flip(&masks[..1], |name, at, flipped, image| {
        let is_zero = in_zeros(&killed.disk.contents(name).unwrap(), at);
        // Sealed segments were tried above.
        if *name != *last || !is_tried(at, is_zero) {
            return;
        }
        let what = format!("killed: {name} byte {at} as {flipped:#x}");
        let seen = killed.look(image, &what);
        let is_proven = (at as u64) < proven[name];
        assert!(seen != Seen::Shorter || !is_proven, "{what}: proven up to {}", proven[name]);
        counts[seen as usize].fetch_add(1, Ordering::Relaxed);
    }));
    let [reported, unchanged, shorter] = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    println!("killed log, last segment: reported {reported}, harmless {unchanged}, torn tail {shorter}");
    assert!(reported > 1000 && shorter > 0);

    println!("largest allocation {largest} bytes");
    assert!(largest <= ALLOCATION_MAX, "{largest} bytes at once");
}
