//! Files: once, again, grown, replaced, cut, renamed, in several shapes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{fs, io::Write};

use common::{Place, sample};

const LEDGER: &str = "select stream, lane, epoch, position, source, source_position, complete, owner, updated_at from standpipe_ledger";

#[test]
fn a_load_that_is_complete_writes_nothing() {
    let place = Place::new();
    let input = sample("flights.csv");
    let args = format!("{} --create", input.display());
    place.load(&args).exits(0).says("4,000 rows read, 4,000 applied, 0 dead-lettered");
    let (ledger, version) = (place.rows(LEDGER), place.value::<i64>("pragma data_version"));
    let before = fs::read(place.path("t.db")).unwrap();
    place
        .load(&args)
        .exits(0)
        .says("already complete (4,000 rows were read before); nothing written")
        .says("0 rows read");
    place.load(&format!("{args} --truncate")).exits(0).says("already complete");
    assert_eq!((place.rows(LEDGER), place.value::<i64>("pragma data_version")), (ledger, version));
    assert!(fs::read(place.path("t.db")).unwrap() == before, "the database file has changed");
    assert_eq!(place.count("flights"), 4_000);
    // What an independent reader of the file finds.
    let text = fs::read_to_string(&input).unwrap();
    let times: Vec<i64> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(3)?.strip_suffix(".0")?.parse().ok())
        .collect();
    assert_eq!(place.value::<i64>("select sum(dep_time) from flights"), times.iter().sum::<i64>());
    assert_eq!(place.value::<i64>("select count(dep_time) from flights"), times.len() as i64);
}

#[test]
fn a_file_that_has_grown_continues() {
    let place = Place::new();
    place.write("g.csv", "x\n1\n2\n");
    place.load("g.csv --create").exits(0).says("2 rows applied");
    for round in 0..3 {
        place.append("g.csv", format!("{}\n", 3 + round));
        place.load("g.csv").exits(0).says(&format!("1 rows applied, continued after {}", 2 + round));
    }
    assert_eq!(place.rows("select x from g"), ["1", "2", "3", "4", "5"]);
    // Lines are counted from the file's beginning, not from where it went on.
    place.append("g.csv", "six\n");
    place.load("g.csv").exits(3).says("g.csv:7: column x");
}

#[test]
fn a_file_that_has_grown_behind_an_open_end_is_refused() {
    let place = Place::new();
    place.write("g.csv", "x\n1\n2");
    place.load("g.csv --create").exits(0).says("2 rows applied");
    place.load("g.csv").exits(0).says("already complete");
    place.append("g.csv", "5\n3\n");
    place
        .load("g.csv")
        .report("grown behind an open end")
        .exits(4)
        .says("its last record had no line end")
        .says("--stream");
    assert_eq!(place.rows("select x from g"), ["1", "2"]);
    place.load("g.csv --stream anew --truncate").exits(0);
    assert_eq!(place.rows("select x from g"), ["1", "25", "3"]);
}

#[test]
fn a_file_that_was_replaced_or_edited_or_cut_is_refused() {
    let place = Place::new();
    let rows = |from: i64| (from..from + 20_000).map(|row| format!("{row}\n")).collect::<String>();
    let original = format!("x\n{}", rows(100_000));
    place.write("r.csv", &original);
    place.load("r.csv --create").exits(0);
    place.write("r.csv", format!("x\n{}", rows(200_000)));
    place.load("r.csv").report("file replaced").exits(4).says("wrong source").says("a stream id of its own");
    // The same beginning, and edited behind it.
    place.write("r.csv", original.replace("119999\n", "999999\n"));
    place
        .load("r.csv")
        .report("file edited at its end")
        .exits(4)
        .says("wrong source: the record before byte")
        .says("--stream");
    place.write("r.csv", format!("{}700000\n", original.replace("119999\n", "999999\n")));
    place.load("r.csv").report("file edited and grown").exits(4).says("wrong source: the record before byte");
    place.write("r.csv", &original[..100_000]);
    place.load("r.csv").report("file truncated").exits(4).says("ahead").says("cut");
    assert_eq!(place.count("r"), 20_000);
    place.write("r.csv", &original);
    place.load("r.csv").exits(0).says("already complete");
}

#[test]
fn the_same_contents_under_another_name_are_refused() {
    let place = Place::new();
    place.write("a.csv", "x\n1\n");
    place.load("a.csv --create --table t").exits(0);
    fs::rename(place.path("a.csv"), place.path("b.csv")).unwrap();
    let ran = place.load("b.csv --table t");
    ran.report("same contents under another name")
        .exits(4)
        .says("b.csv: the same contents were loaded")
        .says("--stream 't@");
    place.load("b.csv --table other --create").exits(0);
    let stream: String = place.value("select stream from standpipe_ledger where stream like 't@%'");
    place
        .run(&["load", "b.csv", "--to", "sqlite:t.db", "--table", "t", "--stream", &stream])
        .exits(0)
        .says("already complete");
    assert_eq!(place.count("t"), 1);
}

#[test]
fn several_files_go_into_several_tables() {
    let place = Place::new();
    let names = ["airlines", "airports", "flights", "planes", "weather"];
    let inputs: Vec<String> =
        names.iter().map(|name| sample(&format!("{name}.csv")).display().to_string()).collect();
    let args = format!("{} --create", inputs.join(" "));
    place.load(&args).exits(0).says("0 dead-lettered");
    for (name, input) in names.iter().zip(&inputs) {
        let lines = fs::read_to_string(input).unwrap().lines().count() as i64;
        assert_eq!(place.count(name), lines - 1, "{name}");
    }
    place.load(&args).exits(0).says("0 rows read");
    // A bad one does not stop those behind it.
    place.write("one.csv", "x\n1\n");
    place.write("two.csv", "x\n1\n");
    place.write("three.csv", "x\n3\n");
    place.load("one.csv --create --table n").exits(0);
    place
        .load("two.csv three.csv --table n")
        .exits(4)
        .says("two.csv: the same contents")
        .says("three.csv -> n: 1 rows applied");
}

#[test]
fn packed_files_open_by_themselves() {
    let text = fs::read(sample("flights.csv")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(&text).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&text).unwrap();
    let place = Place::new();
    place.write("a.csv.gz", gz.finish().unwrap());
    place.write("b.csv.zst", zstd::encode_all(&text[..], 3).unwrap());
    place.write("c.csv.lz4", lz4.finish().unwrap());
    place.load("a.csv.gz b.csv.zst c.csv.lz4 --create").exits(0).says("12,000 rows read, 12,000 applied");
    for table in ["a", "b", "c"] {
        assert_eq!(
            (
                place.count(table),
                place.value::<i64>(&format!(
                    "select count(distinct time_hour || carrier || flight || origin) from {table}"
                ))
            ),
            (4_000, 4_000)
        );
    }
    place.load("a.csv.gz b.csv.zst c.csv.lz4").exits(0).says("0 rows read");
}

#[test]
fn no_digit_of_a_numeric_is_lost() {
    let place = Place::new();
    place.write("p.csv", "id,price\n1,9007199254740993.10\n2,1.5e3\n3,\n4,1,5\n5,x\n6,1e131072\n7,NaN\n");
    let ran = place.load("p.csv --create --types price=numeric");
    ran.exits(3).says("p.csv:6: column price: expected a number, found \"x\"");
    ran.says("p.csv:7: column price: expected a number of at most 131072 digits before the point");
    ran.says("p.csv:8: column price: expected a finite number");
    place.write("q.ndjson", "{\"id\":8,\"price\":0.10000000000000000000000001}\n{\"id\":9,\"price\":1e25}\n");
    place.load("q.ndjson --table p --types price=decimal").exits(0);
    assert_eq!(
        place.rows("select id, typeof(price), price from p order by id"),
        [
            "1|text|9007199254740993.10",
            "2|text|1500",
            "3|null|NULL",
            "8|text|0.10000000000000000000000001",
            "9|text|10000000000000000000000000",
        ]
    );
}

#[test]
fn many_shapes_of_csv() {
    let place = Place::new();
    place.write(
        "s.csv",
        "\u{feff}a,b\r\n1,\"two\r\nlines\"\r\n2,\"a \"\"quote\"\", and a comma\"\r\nx,bad\r\n\r\n4,last",
    );
    place
        .load("s.csv --create --types a=int8")
        .exits(3)
        .says("s.csv:5: column a: expected an integer, found \"x\"");
    assert_eq!(
        place.rows("select a, b from s order by a"),
        ["1|two\r\nlines", "2|a \"quote\", and a comma", "4|last"]
    );
    place.write("t.tsv", "a\tb\n1\tNA\nNA\tx,y\n");
    place.load("t.tsv --create --null NA").exits(0);
    assert_eq!(place.rows("select a, b from t"), ["1|NULL", "NULL|x,y"]);
    place.write("u.txt", "1;2.5;2024-01-02\n3;4.5;2024-01-03\n");
    place.load("u.txt --create --no-header --delimiter ; --types c1=text").exits(0);
    assert_eq!(
        place.rows("select c1, typeof(c1), c2, c3 from u"),
        ["1|text|2.5|2024-01-02", "3|text|4.5|2024-01-03"]
    );
    place.sql("create table v (k int, l real)");
    place.write("v.csv", "7,1.5\n");
    place.load("v.csv --no-header").exits(0);
    assert_eq!(place.rows("select k, l from v"), ["7|1.5"]);
    place.write("w.csv", "7,1.5,9\n");
    place
        .load("w.csv --no-header --table v")
        .exits(2)
        .says("w.csv:1: the first record has 3 fields, table v only 2");
}

#[test]
fn whole_numbers_with_a_fraction_of_zero_and_blanks_are_integers() {
    let place = Place::new();
    place.write("i.csv", "n,at,ok\n517.0,2013-01-01T10:00:00Z,true\n,2013-01-01T11:00:00Z,false\n533.0,,\n");
    place.load("i.csv --create").exits(0);
    assert_eq!(place.rows("select n, typeof(n) from i"), ["517|integer", "NULL|null", "533|integer"]);
}

#[test]
fn a_dry_run_leaves_everything_as_it_was() {
    let place = Place::new();
    place.write("d.csv", "x,y\n1,a\ntwo,b\n");
    let ran = place.load("d.csv --create --dry-run --types x=int8");
    ran.exits(3)
        .says("would be made with x int8, y text")
        .says("d.csv:3: column x: expected an integer")
        .says("nothing was written");
    place.load_piped("- --table d --create --dry-run", "x\n1\n").exits(0).says("1 rows read");
    assert!(!place.path("t.db").exists() && !place.path("state").exists());

    place.load("d.csv --create --types x=int8").exits(3);
    place.append("d.csv", "3,c\n");
    let before = (
        place.rows(LEDGER),
        place.rows("select * from d"),
        place.rows("select * from standpipe_dead_letters"),
    );
    place.load("d.csv --dry-run").exits(3).says("3 rows read, 1 could not be loaded");
    let after = (
        place.rows(LEDGER),
        place.rows("select * from d"),
        place.rows("select * from standpipe_dead_letters"),
    );
    assert_eq!(before, after);
}

#[test]
fn a_table_that_was_dropped_is_not_filled_from_the_middle() {
    let place = Place::new();
    place.write("a.csv", "x\n1\n2\n");
    place.load("a.csv --create").exits(0);
    place.sql("drop table a");
    place.load("a.csv --create").exits(4).says("it was dropped since").says("--stream");
    assert_eq!(place.value::<i64>("select count(*) from sqlite_schema where name = 'a'"), 0);
    place.load("a.csv --create --stream again").exits(0);
    assert_eq!(place.count("a"), 2);
}
