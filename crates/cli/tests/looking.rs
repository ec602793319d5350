//! The commands that only look: ledger, wal, doctor; and progress for machines.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;

use common::{Place, sample};

#[test]
fn the_ledger() {
    let place = Place::new();
    place.run(&["ledger", "sqlite:t.db"]).exits(4).says("there is no such database file");
    place.sql("create table x (a int)");
    place.run(&["ledger", "sqlite:t.db"]).exits(0).says("no ledger yet");
    place.write("a.csv", "x\n1\n");
    place.load("a.csv --create").exits(0);
    place.run(&["ledger", "sqlite:t.db"]).exits(0).says("stream").says("a.csv").says("yes").says("0/1");
    let ran = place.run(&["ledger", "sqlite:t.db", "--json"]);
    let row: serde_json::Value = serde_json::from_str(ran.exits(0).out.trim()).unwrap();
    assert_eq!((&row["complete"], &row["position"], &row["lanes"]), (&true.into(), &4.into(), &1.into()));
    place.run(&["ledger", "t.db"]).exits(2).says("targets look like sqlite:PATH");
}

#[test]
fn a_log_that_is_sound_and_one_that_is_not() {
    let place = Place::new();
    place
        .load_piped(
            "- --table f --create --wal log --wal-max 16MiB",
            fs::read(sample("flights.csv")).unwrap(),
        )
        .exits(0);
    place.run(&["wal", "inspect", "log"]).exits(0).says("segment").says("closed properly");
    place.run(&["wal", "verify", "log"]).exits(0).says("checked; closed properly");
    place.run(&["wal", "verify", "nowhere"]).exits(2).says("no such directory");
    fs::create_dir(place.path("empty")).unwrap();
    place.run(&["wal", "inspect", "empty"]).says("holds no log");

    // A crash leaves records; then one of them is damaged.
    let mut running = place.start("- --table f --wal log --wal-max 16MiB");
    let text = fs::read_to_string(sample("flights.csv")).unwrap();
    let (header, body) = text.split_once('\n').unwrap();
    running.feed(format!("{header}\n{}\n", body.lines().next().unwrap()));
    common::until("the first row is applied", || place.count("f") == 4_001);
    let lock = place.database();
    lock.execute_batch("begin immediate").unwrap();
    running.feed(body);
    // The last place where a row of this text is.
    let find = |bytes: &[u8]| bytes.windows(6).rposition(|window| window == b"N14228");
    let newest = || {
        let files = fs::read_dir(place.path("log")).unwrap().flatten().map(|file| file.path());
        files.filter(|path| find(&fs::read(path).unwrap_or_default()).is_some()).max()
    };
    common::until("the rows are in the log", || newest().is_some());
    running.kill();
    lock.execute_batch("commit").unwrap();
    place.run(&["wal", "verify", "log"]).exits(0).says("not closed");
    let segment = newest().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let at = find(&bytes).unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let ran = place.run(&["wal", "verify", "log"]);
    // The last record may have been cut by the crash for all that can be known; one before it may not.
    if ran.code == Some(0) {
        ran.says("unfinished write");
    } else {
        ran.report("wal verify of a damaged log").exits(5).says("byte").says("nothing was changed");
    }
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[test]
fn the_doctor() {
    let place = Place::new();
    place.run(&["doctor", "sqlite:t.db"]).exits(4).says("broken").says("no such database file");
    place.write("a.csv", "x\n1\n");
    place.load("a.csv --create").exits(0);
    place.run(&["doctor", "sqlite:t.db"]).exits(0).says("journal").says("quick_check").says("fine");
    place.write("t.txt", "no database ".repeat(100));
    place.run(&["doctor", "sqlite:t.txt"]).exits(4).says("broken");
    assert!(!place.path("t.txt-wal").exists());
}

#[test]
fn progress_for_machines_is_one_json_object_a_line() {
    let place = Place::new();
    let text = fs::read(sample("flights.csv")).unwrap();
    let ran = place.load_piped("- --table f --create --progress json", &text);
    let lines: Vec<serde_json::Value> = ran
        .exits(0)
        .err
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    assert!(lines[0]["message"].as_str().unwrap().starts_with("acknowledged: 0 records"));
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["applied_rows"], &last["read_rows"], &last["acknowledged_rows"]),
        (&4000.into(), &4000.into(), &4000.into())
    );
    let ran = place.load("nowhere.csv --create --progress json");
    let line: serde_json::Value = serde_json::from_str(ran.exits(2).err.trim()).unwrap();
    assert!(line["message"].as_str().unwrap().contains("no such file"));
    place.load_piped("- --table f --progress plain", &text).exits(0);
}
