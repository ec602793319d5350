//! Dead letters that are tried again, exported and thrown away, by the real command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use std::fs;

use common::{Place, Ran, Running, until};
use rustix::process::Signal;

const LETTERS: &str = "standpipe_dead_letters";

/// `standpipe dead-letters sqlite:t.db` with these arguments.
fn letters(place: &Place, args: &str) -> Ran {
    let mut all = vec!["dead-letters", "sqlite:t.db"];
    all.extend(args.split_whitespace());
    place.run(&all)
}

/// Loads ids from 1 to `rows` into table `a`, of which the odd ones are refused by the database.
fn odd_ones_refused(rows: u32) -> Place {
    let place = Place::new();
    place.sql(
        "create table a (id integer not null, name text);
         create trigger odd before insert on a when new.id % 2 = 1 begin select raise(abort, 'an odd one'); end;",
    );
    let lines: String = (1..=rows).map(|id| format!("{id},row {id}\n")).collect();
    place.write("a.csv", format!("id,name\n{lines}"));
    place.load("a.csv --table a --max-errors 1000000").exits(3);
    assert_eq!((place.count("a"), place.count(LETTERS)), (i64::from(rows / 2), i64::from(rows / 2)));
    place
}

/// From now on those that are divisible by ten are refused, for another reason.
fn refuse_tens_of(place: &Place, table: &str) {
    place.sql(&format!(
        "drop trigger odd;
         create trigger ten before insert on {table} when new.id % 10 = 5 begin select raise(abort, 'a five'); end;"
    ));
}

/// Each row is in the table or among the letters, once.
fn assert_once(place: &Place, rows: i64) {
    let places = format!(
        "select id from a union all select cast(json_extract(cast(row as text), '$.id') as integer) from {LETTERS}"
    );
    assert_eq!(place.value::<i64>(&format!("select count(*) from ({places})")), rows);
    assert_eq!(place.value::<i64>(&format!("select count(distinct id) from ({places})")), rows);
}

#[test]
fn after_the_table_is_mended_they_are_written_and_the_rest_stays_with_its_new_reason() {
    let place = odd_ones_refused(100);
    refuse_tens_of(&place, "a");
    place.sql("alter table a add column grade text not null default 'none'");
    let identity =
        format!("select stream, lane, position, ordinal, line from {LETTERS} where line % 10 = 6 order by 4");
    let before = place.rows(&identity);
    let ran = letters(&place, "--retry --progress none");
    ran.exits(3).says("50 dead letters: 40 applied, 10 refused again, 0 unreadable").says("10  a five [");
    assert_once(&place, 100);
    assert_eq!((place.count("a"), place.count(LETTERS)), (90, 10));
    assert_eq!(place.rows(&identity), before, "they keep their identity");
    assert_eq!(place.rows(&format!("select distinct reason from {LETTERS}")), ["a five"]);
    assert_eq!(
        place.rows("select distinct grade from a"),
        ["none"],
        "what a row does not give has its default"
    );
    place.sql("drop trigger ten");
    letters(&place, "--retry --json").exits(0).says(r#""applied":10,"refused_again":0,"unreadable":0"#);
    assert_eq!((place.count("a"), place.count(LETTERS)), (100, 0));
    letters(&place, "--retry").exits(0).says("0 dead letters");
    // The load that they come from is none the wiser.
    place.load("a.csv --table a").exits(0).says("complete");
    assert_eq!(place.count("a"), 100);
}

#[test]
fn what_cannot_be_read_stays_and_is_left_out_of_an_export() {
    let place = Place::new();
    place.write("a.csv", "id,n\n1,1\n2,x\n3,3,3\n");
    place.load("a.csv --create --types n=int8").exits(3);
    let before = place.rows(&format!("select * from {LETTERS} order by ordinal"));
    let ran = letters(&place, "--retry");
    ran.exits(3).says("2 dead letters: 0 applied, 0 refused again, 2 unreadable").says("--with-reasons");
    assert_eq!(place.rows(&format!("select * from {LETTERS} order by ordinal")), before);
    letters(&place, "--export again.ndjson").exits(3).says("0 rows exported").says("2 are lines");
    let ran = letters(&place, "--export whole.ndjson --with-reasons");
    ran.exits(0).says("2 dead letters exported to whole.ndjson");
    let whole = fs::read_to_string(place.path("whole.ndjson")).unwrap();
    assert!(whole.contains(r#""row":"2,x\n""#) && whole.contains(r#""row":"3,3,3\n""#), "{whole}");
}

#[test]
fn an_export_can_be_loaded() {
    let place = odd_ones_refused(100);
    letters(&place, "--export again.ndjson").exits(0).says("50 rows exported to again.ndjson");
    letters(&place, "--export again.ndjson").exits(2).says("not written over");
    place.sql("drop trigger odd");
    place.load("again.ndjson --table a").exits(0);
    assert_eq!(place.value::<i64>("select count(distinct id) from a where name = 'row ' || id"), 100);
    letters(&place, "--discard").exits(2).says("--yes");
    assert_eq!(place.count(LETTERS), 50);
    letters(&place, "--discard --yes --stream nobody").exits(0).says("0 dead letters discarded");
    letters(&place, "--discard --yes").exits(0).says("50 dead letters discarded");
    assert_eq!(place.count(LETTERS), 0);
    let piped = letters(&place, "--export -").exits(0).out.clone();
    assert_eq!(piped, "");
}

#[test]
fn a_file_is_listed_and_exported_and_says_how_it_is_retried() {
    let place = Place::new();
    place.sql("create table a (id integer primary key, name text)");
    place.write("a.ndjson", "{\"id\":1,\"name\":\"one\"}\n{\"id\":1,\"name\":\"two\"}\nno json\n");
    place.load("a.ndjson --dead-letter bad.ndjson").exits(3);
    let file = |args: &str| {
        let mut all = vec!["dead-letters", "bad.ndjson"];
        all.extend(args.split_whitespace());
        place.run(&all)
    };
    file("").exits(0).says("2 dead letters").says("UNIQUE constraint failed: a.id");
    file("--code SQLITE_CONSTRAINT_PRIMARYKEY").exits(0).says("1 dead letter\n").never_says("JSON");
    file("--retry").exits(2).says("--export again.ndjson").says("standpipe load");
    file("--discard --yes").exits(2).says("remove it by hand");
    let exported = file("--export -");
    exported.exits(3).says("1 rows exported").says("1 are lines");
    assert_eq!(exported.out, "{\"id\":1,\"name\":\"two\"}\n");
    place.write("again.ndjson", exported.out.replace(":1,", ":2,"));
    place.load("again.ndjson --table a").exits(0);
    assert_eq!(place.rows("select id, name from a"), ["1|one", "2|two"]);
}

#[test]
fn some_of_them_by_key_and_into_another_table() {
    let place = Place::new();
    place.sql("create table a (id integer primary key, name text); create table b (id integer, name text)");
    place.write("a.ndjson", "{\"id\":1,\"name\":\"old\"}\n{\"id\":1,\"name\":\"new\"}\n{\"id\":2,\"name\":[");
    place.load("a.ndjson").exits(3);
    letters(&place, "--retry --mode upsert").exits(2).says("--key");
    let code = "--code SQLITE_CONSTRAINT_PRIMARYKEY --retry";
    letters(&place, &format!("{code} --stream other")).exits(0).says("0 dead letters");
    letters(&place, code).exits(3).says("1 refused again");
    letters(&place, &format!("{code} --to-table absent")).exits(3).says("there is no table absent");
    // The reason is another now, and so is the code.
    letters(&place, "--retry --mode upsert --key id")
        .exits(3)
        .says("1 applied, 0 refused again, 1 unreadable");
    assert_eq!(place.rows("select * from a"), ["1|new"]);
    place.write("b.ndjson", "{\"id\":1,\"name\":\"other\"}\n");
    place.load("b.ndjson --table a").exits(3);
    letters(&place, "--retry --to-table b --limit 5").exits(3).says("1 applied");
    assert_eq!(place.rows("select * from b"), ["1|other"]);
    letters(&place, "--retry --discard --yes").exits(2);
    letters(&place, "--to-table b").exits(2).says("--retry");
}

#[test]
fn the_listing_ends_with_how_many_there_are_of_each_kind() {
    let place = Place::new();
    place.write("a.csv", "n\n1\nx\ny\nz,z\n");
    place.load("a.csv --create --types n=int8").exits(3);
    let ran = letters(&place, "--limit 1");
    ran.exits(0)
        .says("3 dead letters, of which the first 1 are shown")
        .says("  2  column n: expected an integer, found …");
    ran.says("  1  the record has N fields").says("a.csv:3: ").never_says("a.csv:4: ");
    letters(&place, "--json").exits(0).never_says("dead letters,");
}

/// The most memory that the command was seen with, in KiB.
fn peak_kib_of(place: &Place, args: &[&str]) -> u64 {
    let mut child = place.command(args).spawn().unwrap();
    let mut peak_kib = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        peak_kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(peak_kib);
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
    peak_kib
}

#[test]
fn any_number_of_them_is_exported_and_retried_in_little_memory() {
    const LETTERS_KIB: u64 = 30_000 * 2;
    let place = Place::new();
    place.sql("create table a (id integer, name text not null)");
    place.write("a.ndjson", "{\"id\":1}\n");
    place.load("a.ndjson").exits(3);
    place.sql(&format!(
        "with recursive n(i) as (select 2 union all select i + 1 from n where i < 30000)
         insert into {LETTERS} select stream, lane, i, ordinal, target_table, origin, line, column_name, code, reason,
         json_object('id', i, 'name', hex(zeroblob(1000))), kept_at from {LETTERS}, n"
    ));
    for args in [
        vec!["dead-letters", "sqlite:t.db", "--export", "all.ndjson"],
        vec!["dead-letters", "all-letters.ndjson", "--export", "copy.ndjson"],
        vec!["dead-letters", "sqlite:t.db", "--retry", "--progress", "none"],
    ] {
        if args[1] == "all-letters.ndjson" {
            letters(&place, "--export all-letters.ndjson --with-reasons").exits(0);
        }
        let mut peak_kib = peak_kib_of(&place, &args);
        // On a busy machine it may be over before anybody looked.
        for _ in 0..5 {
            if peak_kib > 0 {
                break;
            }
            for made in ["all.ndjson", "copy.ndjson"] {
                let _ = fs::remove_file(place.path(made));
            }
            peak_kib = peak_kib_of(&place, &args);
        }
        assert!((1..LETTERS_KIB / 5 * 4).contains(&peak_kib), "{args:?}: {peak_kib} KiB of {LETTERS_KIB}");
        println!("{args:?}: {peak_kib} KiB at most");
    }
    assert_eq!((place.count("a"), place.count(LETTERS)), (29_999, 1));
}

#[test]
fn two_at_once_write_each_row_once() {
    let place = odd_ones_refused(4_000);
    refuse_tens_of(&place, "a");
    let args = ["dead-letters", "sqlite:t.db", "--retry", "--batch-rows", "50", "--progress", "none"];
    let children: Vec<_> = (0..3).map(|_| place.command(&args).spawn().unwrap()).collect();
    for child in children {
        Ran::of(&args, child.wait_with_output().unwrap()).exits(3);
    }
    assert_once(&place, 4_000);
    assert_eq!((place.count("a"), place.count(LETTERS)), (3_600, 400));
}

#[test]
fn an_interrupted_retry_ends_between_two_commits() {
    let place = odd_ones_refused(20_000);
    place.sql("drop trigger odd");
    let args = ["dead-letters", "sqlite:t.db", "--retry", "--batch-rows", "1", "--progress", "none"];
    let running = Running::of(place.command(&args).spawn().unwrap(), &args);
    until("some are written", || place.count(LETTERS) < 9_990);
    running.signal(Signal::INT);
    running.wait().exits(130).says("applied");
    assert_once(&place, 20_000);
    assert!(place.count(LETTERS) > 0);
    letters(&place, "--retry").exits(0);
    assert_eq!((place.count("a"), place.count(LETTERS)), (20_000, 0));
}

#[test]
fn a_retry_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    let place = odd_ones_refused(6_000);
    refuse_tens_of(&place, "a");
    let args = ["dead-letters", "sqlite:t.db", "--retry", "--batch-rows", "20", "--progress", "none"];
    let (mut kills, mut bits) = (0, 7_u64);
    for _ in 0..10 {
        let before = place.count(LETTERS);
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wanted = i64::try_from(bits >> 56).unwrap().max(1);
        let mut running = Running::of(place.command(&args).spawn().unwrap(), &args);
        until("some are written", || {
            before - place.count(LETTERS) >= wanted || running.child.try_wait().unwrap().is_some()
        });
        kills += u32::from(running.child.try_wait().unwrap().is_none());
        running.kill();
        assert_once(&place, 6_000);
    }
    assert!(kills >= 5, "{kills}");
    letters(&place, "--retry").exits(3).says("0 unreadable");
    assert_once(&place, 6_000);
    assert_eq!((place.count("a"), place.count(LETTERS)), (5_400, 600));
}
