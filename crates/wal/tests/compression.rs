//! Compressed and raw frames, one log.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use common::{append, batch, open_with, payload, read_all, small};
use standpipe_testkit::{Cut, MemStorage};
use standpipe_wal::{Compression, Log, Settings, inspect};

/// Lines of a log, as services write them.
fn line(number: u64) -> Vec<u8> {
    let level = ["INFO", "WARN", "DEBUG"][number as usize % 3];
    format!(
        "2026-11-21T10:{:02}:{:02}.{:06}Z {level} ingest::table: batch {number} of {} rows committed to table flights in {} us, lag 0\n",
        number / 60 % 60,
        number % 60,
        number * 7919 % 1_000_000,
        number * 31 % 500,
        number * 131 % 9000,
    )
    .into_bytes()
}

fn lines(numbers: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    numbers.map(line).collect()
}

#[test]
fn text_takes_less_than_half_and_reads_back() {
    let used = |compression| {
        let disk = MemStorage::new();
        let settings = Settings { segment_bytes: 1 << 20, record_bytes_max: 1 << 20, compression, ..small() };
        let log = open_with(&disk, settings).unwrap();
        let mut expected = Vec::new();
        for number in 0..10 {
            let several = lines(number * 100..(number + 1) * 100);
            let last = batch(&log, &several).unwrap().number();
            expected.extend((last - 99..).zip(several));
        }
        assert_eq!(read_all(&log).unwrap(), expected);
        log.close().unwrap();
        inspect(&disk).unwrap().segments.iter().map(|segment| segment.used_bytes).sum::<u64>()
    };
    let (raw, compressed) = (used(Compression::None), used(Compression::lz4()));
    println!("raw {raw}, compressed {compressed}: {:.2}", compressed as f64 / raw as f64);
    assert!(compressed * 2 <= raw, "{compressed} of {raw}");
}

#[test]
fn both_kinds_mix_and_the_setting_may_change() {
    let disk = MemStorage::new();
    let mut expected = Vec::new();
    for (life, compression) in
        [Compression::lz4(), Compression::None, Compression::lz4()].into_iter().enumerate()
    {
        let settings = Settings { segment_bytes: 64 << 10, compression, ..small() };
        let log = open_with(&disk, settings).unwrap();
        assert_eq!(read_all(&log).unwrap(), expected);
        for number in 0..30 {
            let number = life as u64 * 1000 + number;
            // One that gains, one that does not, one that is too small to try.
            for bytes in [line(number).repeat(8), payload(number, 2000), b"tiny".to_vec()] {
                expected.push((append(&log, &bytes).unwrap().number(), bytes));
            }
        }
        let image = disk.power_cut(Cut::LoseUnsynced);
        assert_eq!(read_all(&common::open(&image).unwrap()).unwrap(), expected);
        log.close().unwrap();
    }
}

#[test]
fn opening_again_and_again_keeps_what_is_far_larger_than_it_is_stored() {
    // Closed, killed, and cut off from its power; records of their own, and many of a few lines; whole and partial proofs.
    for segment_bytes in [8 << 10, 64 << 10, 4 << 20] {
        let settings = || Settings {
            segment_bytes,
            record_bytes_max: 4 << 20,
            compression: Compression::lz4(),
            ..small()
        };
        let mut disk = MemStorage::new();
        let mut expected = Vec::new();
        for life in 0..9 {
            let log = open_with(&disk, settings()).unwrap();
            assert_eq!(read_all(&log).unwrap(), expected, "segments of {segment_bytes}, life {life}");
            let text = b"the same words again and again ".repeat([10_000, 3_000, 300][life % 3]);
            expected.push((append(&log, &text).unwrap().number(), text));
            let several = lines(0..200);
            let last = batch(&log, &several).unwrap().number();
            expected.extend((last - 199..).zip(several));
            disk = match life % 4 {
                0 => {
                    log.close().unwrap();
                    disk.process_killed()
                }
                1 => disk.power_cut(Cut::LoseUnsynced),
                _ => disk.process_killed(),
            };
            assert!(standpipe_wal::verify(&disk).unwrap().is_sound());
        }
        let frames: u64 = inspect(&disk).unwrap().segments.iter().map(|segment| segment.frames).sum();
        let totals = inspect(&disk).unwrap().totals();
        assert!(
            totals.stored_bytes * 3 < totals.raw_bytes,
            "{totals:?}, {frames} frames: what is copied stays small"
        );
    }
}

#[test]
fn a_frame_longer_than_any_segment_may_hold_is_believed_in_its_own() {
    // 64 MiB are read from wherever they are said to lie; more only from a segment as long as that.
    let disk = MemStorage::new();
    let settings = || Settings {
        segment_bytes: 1 << 20,
        record_bytes_max: 128 << 20,
        size_bytes_max: 1 << 30,
        compression: Compression::lz4(),
        ..small()
    };
    let log = open_with(&disk, settings()).unwrap();
    let large = vec![7; 65 << 20];
    append(&log, b"first").unwrap();
    append(&log, &large).unwrap();
    log.close().unwrap();
    drop(log);
    for life in 0..3 {
        let log = open_with(&disk, Settings { record_bytes_max: 64 << 10, ..settings() }).unwrap();
        assert!(read_all(&log).unwrap()[1].1 == large, "life {life}");
        log.close().unwrap();
    }
    assert!(inspect(&disk).unwrap().totals().stored_bytes < 1 << 20);
}

#[test]
fn no_number_is_given_again_after_a_relaxed_log_lost_a_frame_of_very_many() {
    let disk = MemStorage::new();
    let settings = || Settings {
        segment_bytes: 64 << 10,
        record_bytes_max: 1 << 20,
        compression: Compression::lz4(),
        durability: standpipe_wal::Durability::Os,
        ..small()
    };
    let log = open_with(&disk, settings()).unwrap();
    append(&log, b"synced").unwrap();
    log.sync().unwrap();
    let shown = batch(&log, &vec![Vec::new(); 60_000]).unwrap();
    assert_eq!(read_all(&log).unwrap().last().map(|record| record.0), Some(shown.number()));
    let left = disk.power_cut(Cut::LoseUnsynced);
    let log = open_with(&left, settings()).unwrap();
    assert!(log.end() > shown, "{} comes after {shown}, which could be read", log.end());
}

/// A last segment that is small enough to be copied may hold far more than the copy has room for, once decompressed.
#[test]
fn a_compressed_tail_is_copied_as_it_is_stored() {
    let disk = MemStorage::new();
    let settings = || Settings {
        segment_bytes: 16 << 20,
        record_bytes_max: 1 << 20,
        compression: Compression::lz4(),
        ..small()
    };
    let log = open_with(&disk, settings()).unwrap();
    let mut expected = Vec::new();
    for number in 0..20 {
        let several: Vec<_> =
            (0..100).map(|at| format!("{number} {at} {}", "again ".repeat(200)).into_bytes()).collect();
        let last = batch(&log, &several).unwrap().number();
        expected.extend((last - 99..).zip(several));
    }
    log.close().unwrap();
    for _ in 0..3 {
        let log = open_with(&disk, settings()).unwrap();
        assert_eq!(read_all(&log).unwrap(), expected);
        log.close().unwrap();
        let found = inspect(&disk).unwrap();
        let used: u64 = found.segments.iter().map(|segment| segment.used_bytes).sum();
        assert!(used < 256 << 10, "{used}");
    }
    // And from a crash: what nothing proves is copied too.
    let log = open_with(&disk, Settings { idle_proof: None, ..settings() }).unwrap();
    let more: Vec<_> = (0..100).map(|at| format!("{at} {}", "more ".repeat(500)).into_bytes()).collect();
    let last = batch(&log, &more).unwrap().number();
    expected.extend((last - 99..).zip(more));
    let image = disk.power_cut(Cut::LoseUnsynced);
    drop(open_with(&image, settings()).unwrap());
    assert_eq!(read_all(&open_with(&image, settings()).unwrap()).unwrap(), expected);
}
