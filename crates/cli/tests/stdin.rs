//! Standard input: through the log, acknowledged, applied once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{fs, io::Write};

use common::{Place, Running, sample, until};

fn count(place: &Place, table: &str) -> i64 {
    let look = || {
        rusqlite::Connection::open(place.path("t.db"))
            .ok()?
            .query_row(&format!("select count(*) from {table}"), [], |row| row.get(0))
            .ok()
    };
    look().unwrap_or(0)
}

/// The number in the line `acknowledged: N records`.
fn acknowledged(told: &str) -> usize {
    told.split("acknowledged: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn all_of_it_is_applied_and_the_next_run_begins_at_zero() {
    let place = Place::new();
    let text = fs::read(sample("flights.csv")).unwrap();
    let ran = place.load_piped("- --table f --create", &text);
    ran.exits(0).says("acknowledged: 0 records, 0 bytes").says("4,000 applied").says("acknowledge p50");
    place.load_piped("- --table f", &text).exits(0).says("acknowledged: 0 records, 0 bytes");
    assert_eq!(count(&place, "f"), 8_000);
}

#[test]
fn a_trickle_is_applied_while_the_producer_waits() {
    let place = Place::new();
    let mut running = place.start("- --table t --create --format ndjson --flush-after 100ms");
    running.feed("{\"a\":1}\n{\"a\":2}\n");
    until("two rows are applied", || count(&place, "t") == 2);
    for row in 3..6 {
        running.feed(format!("{{\"a\":{row}}}\n"));
        until("one more row is applied", || count(&place, "t") == row);
    }
    running.end_input();
    running.wait().exits(0).says("5 applied");
}

#[test]
fn the_acknowledged_number_comes_before_anything_is_read() {
    for format in ["csv", "ndjson"] {
        let place = Place::new();
        let mut running = place.start(&format!("- --table t --create --format {format}"));
        let mut said = std::io::BufReader::new(running.child.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        assert_eq!(line, "standpipe: acknowledged: 0 records, 0 bytes of an interrupted input\n");
    }
}

fn records(count: usize) -> Vec<String> {
    (0..count).map(|row| format!("{row},some text of a row\n")).collect()
}

fn feed_until_applied(place: &Place, running: &mut Running, records: &[String], at_least: i64) {
    let mut pipe = running.child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || {
            // The kill breaks the pipe; until then it stays open: the input has not ended.
            let _ = pipe
                .write_all(b"id,text\n")
                .and_then(|()| records.iter().try_for_each(|row| pipe.write_all(row.as_bytes())));
            pipe
        });
        until("some rows are applied", || count(place, "t") >= at_least);
        running.kill();
        drop(producer.join());
    });
}

#[test]
fn after_a_kill_the_producer_goes_on_at_the_number_that_is_told() {
    let place = Place::new();
    let all = records(200_000);
    let mut running = place.start("- --table t --create --wal log --batch-rows 5000 --flush-after 10ms");
    feed_until_applied(&place, &mut running, &all, 5_000);
    drop(running);
    // It tells how many it kept, and waits for the rest.
    let mut second = place.start("- --table t --wal log");
    let mut said = std::io::BufReader::new(second.child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    let kept = acknowledged(&line);
    assert!((5_000..=200_000).contains(&kept), "{line}");
    let bytes: usize = all[..kept].iter().map(String::len).sum();
    assert!(
        line.contains(&format!("acknowledged: {kept} records, {bytes} bytes of an interrupted input; ")),
        "{line}"
    );
    assert_eq!(count(&place, "t"), kept as i64);
    let rest: String = all[kept..].concat();
    second.feed(format!("id,text\n{rest}"));
    second.end_input();
    second.wait().exits(0).says(&format!("{} rows read", thousands(200_000 - kept)));
    assert_eq!(place.value::<i64>("select count(distinct id) from t"), 200_000);
    assert_eq!(count(&place, "t"), 200_000);
    place.load_piped("- --table t --wal log", "id,text\n").exits(0).says("acknowledged: 0 records");
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    if digits.len() <= 3 {
        digits
    } else {
        format!("{},{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..])
    }
}

#[test]
fn after_a_kill_a_producer_may_start_over() {
    let place = Place::new();
    let all = records(100_000);
    let mut running = place.start("- --table t --create --wal log --batch-rows 5000 --flush-after 10ms");
    feed_until_applied(&place, &mut running, &all, 5_000);
    let ran =
        place.load_piped("- --table t --wal log --skip-acknowledged", format!("id,text\n{}", all.concat()));
    ran.exits(0).says("dropped from this input");
    assert_eq!(
        (count(&place, "t"), place.value::<i64>("select count(distinct id) from t")),
        (100_000, 100_000)
    );
}

#[test]
fn ndjson_and_packed_and_empty_input() {
    let place = Place::new();
    place
        .load_piped("- --table n --create --format ndjson", "{\"a\":1,\"o\":{\"b\":2}}\n{\"a\":2}\n")
        .exits(0);
    assert_eq!(place.rows("select a, o from n"), ["1|{\"b\":2}", "2|NULL"]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(&fs::read(sample("flights.csv")).unwrap()).unwrap();
    place.load_piped("- --table f --create", gz.finish().unwrap()).exits(0);
    assert_eq!(count(&place, "f"), 4_000);
    place
        .load_piped("- --table e --create", "")
        .report("empty standard input")
        .exits(2)
        .says("the input is empty");
    place.load_piped("- --table f", "").exits(2).says("standard input: the input is empty");
    place.load_piped("- --table n --format ndjson", "").exits(0).says("0 rows applied");
    place.load_piped("- --table h --create", "a,b\n").exits(0).says("0 rows applied");
    place.load_piped("- --table h", "a,b").exits(0).says("0 rows applied");
}

#[test]
fn bad_rows_of_standard_input_have_lines_too() {
    let place = Place::new();
    let ran = place.load_piped("- --table t --create --types a=int8", "a\n1\nx\n3\n");
    ran.exits(3).says("standard input:3: column a: expected an integer, found \"x\"");
    assert_eq!(place.rows("select a from t"), ["1", "3"]);
    let ran = place.load_piped("- --table t --wal elsewhere", "a\n4\n");
    ran.report("another log directory for the same stream").exits(4).says("wrong source");
}

#[test]
fn an_empty_run_does_not_make_an_ended_input_forgotten() {
    let place = Place::new();
    let input: String =
        std::iter::once("x\n".to_owned()).chain((0..100).map(|row| format!("{row}\n"))).collect();
    place.load_piped("- --table t --create", input.as_bytes()).exits(0);
    place.load_piped("- --table t", b"x\n").exits(0);
    // This producer did not hear that its input was taken.
    place.load_piped("- --table t --skip-acknowledged", input.as_bytes()).exits(0);
    assert_eq!(place.count("t"), 100);
}
