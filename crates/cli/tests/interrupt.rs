//! Ctrl-C, SIGTERM, and readers that go away.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::process::Stdio;

use common::{Place, sample, until};
use rustix::process::Signal;

fn slow_input(place: &Place) -> common::Running {
    let mut running = place.start("- --table a --create --wal log --flush-after 50ms");
    running.feed("x\n1\n2\n");
    until("the first rows are applied", || {
        place.path("t.db").exists()
            && place.value::<i64>("select count(*) from sqlite_schema where name = 'a'") == 1
            && place.count("a") == 2
    });
    running
}

#[test]
fn the_first_signal_drains_and_sums_up() {
    for (signal, name) in [(Signal::INT, "Ctrl-C"), (Signal::TERM, "SIGTERM")] {
        let place = Place::new();
        let mut running = slow_input(&place);
        // The last record has no line end: nobody knows whether it is whole.
        running.feed("3\n4\n5");
        until("whole rows are applied", || place.count("a") == 4);
        running.signal(signal);
        let ran = running.wait();
        ran.report(&format!("{name} while standard input is slow"))
            .exits(130)
            .says("interrupted after 4 rows")
            .says("4 applied")
            .says("a second Ctrl-C stops at once");
        assert_eq!(place.rows("select x from a order by x"), ["1", "2", "3", "4"]);
        place
            .load_piped("- --table a --wal log", "x\n5\n6\n")
            .exits(0)
            .says("acknowledged: 4 records, 8 bytes");
        assert_eq!(place.rows("select x from a order by x"), ["1", "2", "3", "4", "5", "6"]);
    }
}

#[test]
fn a_signal_before_the_first_record() {
    let place = Place::new();
    let running = place.start("- --table a --create --wal log --flush-after 50ms");
    until("the log is open", || place.path("log").exists());
    running.signal(Signal::INT);
    running
        .wait()
        .report("Ctrl-C before the first record")
        .exits(130)
        .says("interrupted before the input had a record");
}

#[test]
fn the_second_signal_stops_at_once() {
    let place = Place::new();
    let mut running = slow_input(&place);
    // Draining cannot end while somebody else has the lock.
    let lock = place.database();
    lock.execute_batch("begin immediate").unwrap();
    running.feed("3\n");
    running.signal(Signal::INT);
    // The second is one only when the first was taken in: signals of one kind do not queue.
    until("the second one ends it", || {
        running.signal(Signal::INT);
        running.child.try_wait().unwrap().is_some()
    });
    let ran = running.wait();
    ran.exits(130);
    lock.execute_batch("commit").unwrap();
    // What was acknowledged is kept by the log.
    let ran = place
        .load_piped("- --table a --wal log", "x\n9\n")
        .report("Ctrl-C twice, then the next run")
        .exits(0)
        .told();
    let kept: i64 = ran.split("acknowledged: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((2..=3).contains(&kept), "{ran}");
    assert_eq!(place.count("a"), kept + 1);
}

#[test]
fn an_interrupted_file_goes_on_where_it_was() {
    let place = Place::new();
    let mut text = String::from("x\n");
    (0..600_000).for_each(|row| text.push_str(&format!("{row}\n")));
    place.write("a.csv", text);
    let running = place.start("a.csv --create --batch-rows 2000");
    until("something is applied", || {
        place.path("t.db").exists()
            && place.value::<i64>("select count(*) from sqlite_schema where name = 'a'") == 1
            && place.count("a") > 0
    });
    running.signal(Signal::INT);
    running
        .wait()
        .report("Ctrl-C while a file is loaded")
        .exits(130)
        .says("interrupted after")
        .says("to go on");
    let before = place.count("a");
    assert!((1..600_000).contains(&before), "{before}");
    place.load("a.csv").exits(0).says("continued after");
    assert_eq!((place.count("a"), place.value::<i64>("select count(distinct x) from a")), (600_000, 600_000));
}

#[test]
fn nobody_reads_the_summary() {
    let place = Place::new();
    let input = sample("flights.csv");
    let args = common::load_args("--create --table flights");
    let mut command = place.command(&[&args[..], &[input.to_str().unwrap()]].concat());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    common::Ran::of(&args, output).report("broken pipe on stdout").exits(0);
    assert_eq!(place.count("flights"), 4_000);
}
