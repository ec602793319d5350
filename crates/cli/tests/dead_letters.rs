//! Where rows go that cannot be applied: a table, a file, and the command that shows them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;

use common::{Place, load_args, until};

#[test]
fn a_table_of_ones_own() {
    let place = Place::new();
    place.write("a.csv", "id,n\n1,1\n2,x\n3,3,3\n");
    let ran = place.load("a.csv --create --types n=int8 --dead-letter table:bad");
    ran.exits(3).says("standpipe dead-letters --json 'sqlite:t.db' --table 'bad'");
    assert_eq!(
        place.rows(
            "select line, ordinal, column_name, cast(row as text), target_table from bad order by ordinal"
        ),
        ["3|1|n|2,x\n|a", "4|2|NULL|3,3,3\n|a"]
    );
    let ran = place.run(&["dead-letters", "sqlite:t.db", "--table", "bad"]);
    ran.exits(0)
        .says("a.csv:3: column n: expected an integer, found \"x\"")
        .says("a.csv:4: the record has 3 fields");
    let ran = place.run(&["dead-letters", "sqlite:t.db", "--table", "bad", "--json", "--limit", "1"]);
    ran.exits(0).says(r#""line":3"#).says(r#""row":"2,x\n""#).never_says(r#""line":4"#);
    place.run(&["dead-letters", "sqlite:t.db"]).exits(0).says("no dead letters");
}

#[test]
fn a_file() {
    let place = Place::new();
    place.write("a.csv", "id,n\n1,1\n2,x\n3,3,3\n");
    let ran = place.load("a.csv --create --types n=int8 --dead-letter bad.ndjson");
    ran.exits(3).says("standpipe dead-letters --json 'bad.ndjson'");
    let text = fs::read_to_string(place.path("bad.ndjson")).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.contains(r#""line":3,"column":"n""#), "{text}");
    place.run(&["dead-letters", "bad.ndjson"]).exits(0).says("a.csv:3: column n").says("a.csv:4: ");
    place.run(&["dead-letters", "nowhere.ndjson"]).exits(2).says("no such file");
    place.run(&["dead-letters", "a.csv"]).exits(4).says("a.csv:1: this is no dead letter");
    place
        .load("a.csv --create --dead-letter none/bad.ndjson --stream again")
        .exits(4)
        .says("the dead-letter file none/bad.ndjson");
}

#[test]
fn after_a_kill_the_file_has_each_letter_once() {
    let place = Place::new();
    let text: String =
        (0..30_000).map(|row| if row % 100 == 0 { "bad\n".into() } else { format!("{row}\n") }).collect();
    place.write("a.csv", format!("n\n{text}"));
    let args = "a.csv --create --types n=int8 --dead-letter bad.ndjson --batch-rows 500";
    let mut kills = 0;
    for _ in 0..5 {
        let seen = fs::metadata(place.path("bad.ndjson")).map_or(0, |found| found.len());
        let mut running = place.start(args);
        // Between the letters and their commit, or close to it.
        until("letters are written", || {
            fs::metadata(place.path("bad.ndjson")).is_ok_and(|found| found.len() != seen)
                || running.child.try_wait().unwrap().is_some()
        });
        kills += u32::from(running.child.try_wait().unwrap().is_none());
        running.kill();
    }
    assert!(kills > 0);
    let ran = place.load(args);
    assert!(matches!(ran.code, Some(0 | 3)), "{}", ran.told());
    assert_eq!(place.count("a"), 29_700);
    let letters = fs::read_to_string(place.path("bad.ndjson")).unwrap();
    let mut lines: Vec<&str> = letters
        .lines()
        .map(|line| line.split("\"line\":").nth(1).unwrap().split(',').next().unwrap())
        .collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!((letters.lines().count(), lines.len()), (300, 300));
}

#[test]
fn what_is_no_file_of_dead_letters_is_refused_and_not_touched() {
    let place = Place::new();
    place.sql("create table precious (a); insert into precious values (1)");
    place.write("a.csv", "x\n1\nbad\n");
    let input = std::fs::read(place.path("a.csv")).unwrap();
    for wrong in ["t.db", "a.csv", "/dev/full", "."] {
        place
            .load(&format!("a.csv --create --types x=int8 --dead-letter {wrong}"))
            .exits(2)
            .says("--dead-letter");
    }
    assert_eq!(place.count("precious"), 1);
    assert_eq!(std::fs::read(place.path("a.csv")).unwrap(), input);
}

#[test]
fn many_bad_rows_stay_within_the_memory() {
    let place = Place::new();
    let rows: String = (0..200_000).map(|_| "bad\n").collect();
    place.write("a.csv", format!("x\n{rows}"));
    let args = load_args("a.csv --create --types x=int8 --max-errors 1000000");
    let mut load = place.command(&args).spawn().unwrap();
    let mut peak_kib = 0;
    while load.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", load.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        peak_kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(peak_kib);
        std::thread::yield_now();
    }
    assert_eq!(place.count("standpipe_dead_letters"), 200_000);
    assert!((1..60 << 10).contains(&peak_kib), "{peak_kib} KiB");
}
