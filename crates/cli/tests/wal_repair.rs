//! `standpipe wal repair` and `standpipe wal bench`: what they leave, and how they end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{Place, Ran, until};
use rustix::process::{Pid, Signal, kill_process};
use standpipe::wal::{Log, Record, Settings, Ticket, Wal};

/// A log of 12 records of 3,000 bytes in segments of 28 KiB.
fn make_log(dir: &Path) {
    let log = Wal::open(dir, Settings { segment_bytes: 28 << 10, ..Settings::default() }).unwrap();
    log.pin(b"key", b"value").unwrap().wait().unwrap();
    for number in 0..12 {
        let bytes = format!("record {number} {}", "x".repeat(2990));
        log.append(Record::new(&[bytes.as_bytes()])).unwrap().wait().unwrap();
    }
    log.close().unwrap();
}

fn damage(dir: &Path, text: &str) {
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            bytes[at] ^= 1;
            return fs::write(path, bytes).unwrap();
        }
    }
    panic!("{text} is in no segment");
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(dir)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())
        })
        .collect()
}

#[test]
fn what_is_sound_is_copied_and_what_is_lost_is_listed() {
    let place = Place::new();
    make_log(&place.path("log"));
    damage(&place.path("log"), "record 1 ");
    fs::remove_file(place.path("log").join("00000000000000000002.wal")).unwrap();
    let before = files(&place.path("log"));
    let ran = place.run(&["wal", "repair", "log", "copy"]);
    ran.exits(5).says("lost: record 2").says("00000000000000000002.wal, is missing; lost: records 4 to 8");
    ran.says("copy: 6 records")
        .says("next record 13")
        .says("at most 6 records, in 2 places")
        .says("never both");
    assert!(files(&place.path("log")) == before, "the original was touched");
    place.run(&["wal", "verify", "copy"]).exits(0).says("sound");
    let dumped = place.run(&["wal", "dump", "copy", "--format", "text"]);
    let records: Vec<_> = dumped.out.lines().filter(|line| !line.starts_with("--")).collect();
    assert_eq!(records.len(), 6);
    for line in records {
        let (lsn, text) = line.split_once('\t').unwrap();
        let number = lsn.parse::<u64>().unwrap() - 1;
        assert!(text.starts_with(&format!("record {number} ")), "{line}");
    }
    dumped.says("-- no record 2").says("-- no records 4 to 8").says("key is pinned: value");
    // A second time the place is taken, and what is there stays.
    let copy = files(&place.path("copy"));
    place.run(&["wal", "repair", "log", "copy"]).exits(2).says("not empty");
    assert!(files(&place.path("copy")) == copy);
    place.run(&["wal", "repair", "log", "log/inside"]).exits(2).says("outside of the damaged log");
    assert!(files(&place.path("log")) == before);
}

#[test]
fn a_sound_log_loses_nothing() {
    let place = Place::new();
    make_log(&place.path("log"));
    let ran = place.run(&["wal", "repair", "log", "copy", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&ran.exits(0).out).unwrap();
    assert_eq!((&told["records"], &told["lossless"], &told["pins"]), (&12.into(), &true.into(), &1.into()));
    assert_eq!(told["log"], told["original"]);
    let ran = place.run(&["wal", "repair", "log", "other", "--new-identity"]);
    ran.exits(0).says("nothing is lost").says("an identity of its own");
    let id = |dir: &str| place.run(&["wal", "inspect", dir]).out.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(id("log"), id("copy"));
    assert_ne!(id("log"), id("other"));
}

#[test]
fn a_load_goes_on_from_a_repaired_log_without_applying_anything_twice() {
    let place = Place::new();
    place.sql("pragma journal_mode = wal; create table a (x int primary key, t text)");
    let row = |number: u64| format!("{number},marker-{number}-{}\n", "y".repeat(200));
    let mut running = place.start("- --table a --wal log --wal-max 16MiB --flush-after 10ms");
    running.feed("x,t\n");
    for number in 0..20 {
        running.feed(row(number));
        until("the row is applied", || place.count("a") == number as i64 + 1);
    }
    // From here on the log alone has them, each in a record of its own.
    let lock = place.database();
    lock.execute_batch("begin immediate").unwrap();
    let is_logged = |marker: &str| {
        files(&place.path("log"))
            .values()
            .any(|bytes| bytes.windows(marker.len()).any(|window| window == marker.as_bytes()))
    };
    for number in 20..30 {
        running.feed(row(number));
        until("the row is in the log", || is_logged(&format!("marker-{number}-")));
    }
    running.kill();
    lock.execute_batch("commit").unwrap();
    assert_eq!(place.count("a"), 20);
    damage(&place.path("log"), "marker-24-");
    let refused = place.load_piped("- --table a --wal log --wal-max 16MiB", "");
    refused.exits(5).says("standpipe wal repair");
    place.run(&["wal", "repair", "log", "mended"]).exits(5).says("lost: record");
    fs::rename(place.path("log"), place.path("log.damaged")).unwrap();
    fs::rename(place.path("mended"), place.path("log")).unwrap();
    place.load_piped("- --table a --wal log --wal-max 16MiB", "x,t\n").exits(0);
    let expected: Vec<String> =
        (0..30).filter(|number| *number != 24).map(|number| number.to_string()).collect();
    assert_eq!(place.rows("select x from a order by x"), expected);
}

#[test]
fn an_interrupted_repair_leaves_nothing() {
    let place = Place::new();
    let log = Wal::open(place.path("log"), Settings::default()).unwrap();
    let record = vec![7; 1 << 20];
    for _ in 0..40 {
        log.append(Record::new(&[&record])).unwrap().wait().unwrap();
    }
    log.close().unwrap();
    let before = files(&place.path("log"));
    let args = ["wal", "repair", "log", "copy"];
    let child = place.command(&args).spawn().unwrap();
    until("it has begun", || place.path("copy.repairing").exists() || place.path("copy").exists());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::of(&args, child.wait_with_output().unwrap());
    // It may have been done before the signal came.
    if ran.code == Some(0) {
        place.run(&["wal", "verify", "copy"]).exits(0).says("40 records");
    } else {
        ran.exits(130).says("nothing is at copy");
        assert!(!place.path("copy").exists());
    }
    assert!(!place.path("copy.repairing").exists());
    assert!(files(&place.path("log")) == before);
}

#[test]
fn a_disk_is_measured_and_left_as_it_was() {
    let place = Place::new();
    fs::create_dir(place.path("disk")).unwrap();
    let ran = place.run(&["wal", "bench", "disk", "--seconds", "1"]);
    ran.exits(0).says("written before").says("allocated").says("appended").says("records per raw sync");
    ran.says("a log with 64 writers").says("group commit gives 64 writers here");
    let ran = place.run(&["wal", "bench", "disk", "--seconds", "1", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&ran.exits(0).out).unwrap();
    assert!(told["raw_4096_bytes"]["written"]["p50_us"].as_f64().unwrap() > 0.0);
    assert_eq!(told["log"].as_array().unwrap().len(), 3);
    assert!(told["log"][2]["ratio_to_raw"].as_f64().unwrap() > 0.0);
    assert!(files(&place.path("disk")).is_empty());
    place.run(&["wal", "bench", "nowhere"]).exits(2).says("no such directory");
    place.run(&["wal", "bench", "disk", "--seconds", "0"]).exits(2);
    let args = ["wal", "bench", "/proc", "--seconds", "1"];
    assert_eq!(Ran::of(&args, place.command(&args).output().unwrap()).code, Some(2));
}

#[test]
fn an_interrupted_measurement_cleans_up() {
    let place = Place::new();
    fs::create_dir(place.path("disk")).unwrap();
    let args = ["wal", "bench", "disk", "--seconds", "600"];
    let child = place.command(&args).spawn().unwrap();
    until("it has begun", || fs::read_dir(place.path("disk")).unwrap().next().is_some());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::of(&args, child.wait_with_output().unwrap());
    ran.exits(130).says("nothing is left behind");
    assert!(fs::read_dir(place.path("disk")).unwrap().next().is_none());
}
