//! A load that is paused, overtaken by a second one, and resumed: it is fenced, and writes nothing more.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{fs, time::Duration};

use common::{Place, sample, until};
use rustix::process::Signal;

#[test]
fn a_load_that_was_overtaken_stops_as_fenced() {
    let place = Place::new();
    let text = fs::read_to_string(sample("flights.csv")).unwrap();
    let (header, body) = text.split_once('\n').unwrap();
    place.write("f.csv", format!("{header}\n{}", body.repeat(25)));
    let first = place.start("f.csv --table f --create --batch-rows 500");
    pause_between_transactions(&place, &first);
    let before = place.count("f");
    assert!((1..100_000).contains(&before), "{before}");
    place.load("f.csv --table f").exits(0).says("continued after");
    assert_eq!(place.count("f"), 100_000);
    first.signal(Signal::CONT);
    let ran = first.wait();
    ran.report("a paused load that was overtaken").exits(4).says("fenced: another run has taken over");
    let sums = place.rows("select count(*), sum(dep_time), count(dep_time) from f");
    place.load("f.csv --table f").exits(0).says("already complete");
    assert_eq!(place.rows("select count(*), sum(dep_time), count(dep_time) from f"), sums);
    let times: Vec<i64> =
        body.lines().filter_map(|line| line.split(',').nth(3)?.strip_suffix(".0")?.parse().ok()).collect();
    assert_eq!(sums, [format!("100000|{}|{}", times.iter().sum::<i64>() * 25, times.len() * 25)]);
}

/// Stops the process at a moment at which it has no transaction open: a stopped process keeps SQLite's lock.
fn pause_between_transactions(place: &Place, first: &common::Running) {
    until("the load is paused between two transactions", || {
        let probe = || {
            let database = rusqlite::Connection::open(place.path("t.db")).ok()?;
            database.busy_timeout(Duration::ZERO).ok()?;
            let rows: i64 = database.query_row("select count(*) from f", [], |row| row.get(0)).ok()?;
            (rows > 0).then(|| database.execute_batch("begin immediate; rollback").is_ok())
        };
        if probe().is_none() {
            return false;
        }
        first.signal(Signal::STOP);
        let is_stopped = || {
            let status = fs::read_to_string(format!("/proc/{}/stat", first.child.id())).unwrap();
            status.rsplit(") ").next().unwrap().starts_with('T')
        };
        until("it is stopped", is_stopped);
        let is_free = probe() == Some(true);
        if !is_free {
            first.signal(Signal::CONT);
        }
        is_free
    });
}

/// The size at which a load began says nothing about a file that was shorter for a moment.
#[test]
fn a_file_that_is_cut_while_it_is_read_and_restored_is_loaded_whole() {
    let place = Place::new();
    let text = fs::read_to_string(sample("flights.csv")).unwrap();
    let (header, body) = text.split_once('\n').unwrap();
    let whole = format!("{header}\n{}", body.repeat(25));
    let half = format!("{header}\n{}", body.repeat(12));
    place.write("f.csv", &whole);
    let load = place.start("f.csv --table f --create --batch-rows 500 --memory 1MiB");
    pause_between_transactions(&place, &load);
    let file = fs::OpenOptions::new().write(true).open(place.path("f.csv")).unwrap();
    file.set_len(half.len() as u64).unwrap();
    load.signal(Signal::CONT);
    load.wait().exits(0);
    assert!(place.count("f") < 100_000);
    place.write("f.csv", &whole);
    place.load("f.csv --table f").exits(0).says("continued after");
    assert_eq!(place.count("f"), 100_000);
    place.load("f.csv --table f").exits(0).says("already complete");
}
