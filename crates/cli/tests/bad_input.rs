//! What bad input gets: a message with file, line and column, the right exit code, and nothing lost of the rest.
//! `cargo test -p standpipe-cli --test 'bad_*' -- --nocapture | grep '^|'` prints the table.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{fs, io::Write};

use common::{Place, until};

#[test]
fn a_file_that_is_missing() {
    let place = Place::new();
    place
        .load("nowhere.csv --create")
        .report("file missing")
        .exits(2)
        .says("nowhere.csv: no such file; check the path");
    assert!(!place.path("state").exists());
}

#[test]
fn a_directory() {
    let place = Place::new();
    fs::create_dir(place.path("d.csv")).unwrap();
    place
        .load("d.csv --create")
        .report("a directory")
        .exits(2)
        .says("name the files in it, for example d.csv/*.csv");
}

#[test]
fn a_bad_file_among_good_ones_leaves_nothing_half_loaded() {
    let place = Place::new();
    place.write("good.csv", "a\n1\n");
    place.load("good.csv nowhere.csv --create").exits(2).says("nowhere.csv");
    assert_eq!(place.value::<i64>("select count(*) from sqlite_schema"), 0);
}

#[test]
fn an_empty_file() {
    let place = Place::new();
    place.write("e.csv", "");
    place
        .load("e.csv --create")
        .report("empty file")
        .exits(2)
        .says("e.csv: the input is empty: there is nothing to make");
    place.sql("create table e (a int)");
    place
        .load("e.csv")
        .report("empty file, table present")
        .exits(2)
        .says("a first line with the names of the columns");
    place.write("n.ndjson", "\n\n");
    place.load("n.ndjson --create --table m").exits(2).says("no record to make a table from");
    place.load("n.ndjson --table e").exits(0).says("0 rows applied");
}

#[test]
fn a_file_with_only_a_header() {
    let place = Place::new();
    place.write("h.csv", "a,b\n");
    place.load("h.csv --create").report("header only").exits(0).says("0 rows applied");
    assert_eq!(place.count("h"), 0);
    place.append("h.csv", "1,2\n");
    place.load("h.csv").exits(0).says("1 rows applied");
}

#[test]
fn a_file_that_is_no_text() {
    let place = Place::new();
    place.write("b.csv", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0");
    place
        .load("b.csv --create")
        .report("binary garbage")
        .exits(2)
        .says("b.csv:1: this is no text but binary data");
    place.write("w.csv", b"\xff\xfea\0,\0b\0\n\0");
    place.load("w.csv --create").report("UTF-16").exits(2).says("w.csv:1: this is UTF-16").says("iconv");
}

#[test]
fn invalid_utf8_in_a_field() {
    let place = Place::new();
    place.write("u.csv", b"id,name\n1,a\n2,\xff\xfe\n3,c\n");
    let ran = place.load("u.csv --create");
    ran.report("invalid UTF-8")
        .exits(3)
        .says("u.csv:3: column name: expected UTF-8")
        .says("standpipe dead-letters");
    assert_eq!(place.rows("select id, name from u order by id"), ["1|a", "3|c"]);
    assert_eq!(place.rows("select line, column_name from standpipe_dead_letters"), ["3|name"]);
}

#[test]
fn ragged_rows() {
    let place = Place::new();
    place.write("r.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n");
    let ran = place.load("r.csv --create");
    ran.report("ragged rows").exits(3);
    ran.says("r.csv:3: the record has 1 fields, the header 2")
        .says("r.csv:4: the record has 3 fields, the header 2");
    assert_eq!(place.rows("select a, b from r order by a"), ["1|2", "7|8"]);
}

#[test]
fn a_quote_that_is_never_closed() {
    let place = Place::new();
    place.write("q.csv", "a,b\n1,2\n3,\"x\n4,5\n");
    place.load("q.csv --create").report("unclosed quote").exits(3).says("q.csv:3: a quote is not closed");
    assert_eq!(place.rows("select a, b from q"), ["1|2"]);
    // What it took with it is in the dead letter.
    let ran = place.run(&["dead-letters", "sqlite:t.db", "--json"]);
    ran.exits(0).says(r#""row":"3,\"x\n4,5\n""#);
}

#[test]
fn an_unclosed_quote_before_more_than_a_dead_letter_holds_stops_the_load_before_it() {
    let place = Place::new();
    let mut text = "a,b\n".to_owned();
    (0..20_000).for_each(|row| text.push_str(&format!("{row},some text\n")));
    let sound = text.clone();
    let at = text.find("15000,").unwrap() + "15000,".len();
    text.insert(at, '"');
    place.write("q.csv", &text);
    let ran = place.load("q.csv --create");
    ran.report("unclosed quote before much more").exits(3).says("q.csv:15002: a quote is not closed");
    assert_eq!(place.count("q"), 15_000);
    place.write("q.csv", sound);
    place.load("q.csv").exits(0).says("5,000 rows applied, continued after 15,000");
    assert_eq!(place.value::<i64>("select count(distinct a) from q"), 20_000);
}

#[test]
fn a_field_of_100_mb() {
    let place = Place::new();
    let mut file = fs::File::create(place.path("big.csv")).unwrap();
    file.write_all(b"id,text\n1,small\n2,\"").unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    (0..100).for_each(|_| file.write_all(&megabyte).unwrap());
    file.write_all(b"\"\n3,small\n").unwrap();
    drop(file);
    let mut running = place.start("big.csv --create");
    running.end_input();
    let mut peak_kib = 0;
    let pid = running.child.id();
    until("the load has ended", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak =
            peak.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
        peak_kib = peak.unwrap_or(0).max(peak_kib);
        running.child.try_wait().unwrap().is_some()
    });
    let ran = running.wait();
    ran.report("a field of 100 MB")
        .exits(3)
        .says("big.csv:3: the record that begins on line 3 has 104857605 bytes");
    ran.says("the limit is 2097152").says("--memory");
    assert_eq!(place.rows("select id, text from big order by id"), ["1|small", "3|small"]);
    assert_eq!(place.value::<i64>("select length(row) from standpipe_dead_letters"), 64 << 10);
    assert!((1..120 << 10).contains(&peak_kib), "{peak_kib} KiB");
}

#[test]
fn a_field_that_is_larger_than_its_share_of_a_small_memory() {
    let place = Place::new();
    let wide = "x".repeat(2 << 20);
    place.write("m.csv", format!("id,text\n1,a\n2,{wide}\n3,c\n"));
    let ran = place.load("m.csv --create --memory 1MiB");
    ran.report("a field of 2 MiB under --memory 1MiB").exits(3).says("m.csv:3: ").says("the limit is 131072");
    assert_eq!(place.rows("select id, text from m"), ["1|a", "3|c"]);
    // Piped, the same row passes through the log's share.
    let ran = place.load_piped("- --table p --create --memory 1MiB", fs::read(place.path("m.csv")).unwrap());
    ran.exits(3).says("standard input:3: ");
    assert_eq!(place.rows("select id, text from p"), ["1|a", "3|c"]);
    // What is just allowed fits, with its neighbours and with many columns that grow when they are encoded.
    let columns: Vec<String> = (0..600).map(|column| format!("c{column}")).collect();
    let row = vec!["1"; 600].join(",");
    let allowed = "y".repeat((128 << 10) - 100);
    place.write("w.csv", format!("{}\n{}", columns.join(","), format!("{row}\n").repeat(300)));
    place.load("w.csv --create --memory 1MiB").exits(0);
    place.write("a.csv", format!("id,text\n{}", format!("7,{allowed}\n").repeat(12)));
    place.load("a.csv --create --memory 1MiB").exits(0);
    place.load_piped("- --table ap --create --memory 1MiB", fs::read(place.path("a.csv")).unwrap()).exits(0);
    assert_eq!((place.count("w"), place.count("a"), place.count("ap")), (300, 12, 12));
}

#[test]
fn names_of_columns_that_are_there_twice() {
    let place = Place::new();
    place.write("d.csv", "id,name,ID\n1,a,2\n");
    let ran = place.load("d.csv --create");
    ran.report("duplicate header names")
        .exits(2)
        .says("d.csv:1: column \"ID\" is there twice, as column 1 and column 3");
    place.write("n.csv", "id,,x\n1,a,2\n");
    place
        .load("n.csv --create")
        .report("a column without a name")
        .exits(2)
        .says("n.csv:1: column 2 has no name");
}

#[test]
fn values_that_their_columns_cannot_hold() {
    let place = Place::new();
    place.write(
        "v.csv",
        "id,f,t\n1,1.5,a\n99999999999,1,b\nx,1,c\n4,NaN,d\n5,Infinity,e\n6,-inf,f\n7,2.5,g\n",
    );
    let ran = place.load("v.csv --create --types id=int4,f=float8");
    ran.report("integer overflow, wrong type, NaN, Infinity").exits(3);
    ran.says("v.csv:3: column id: expected an integer from -2147483648 to 2147483647, found \"99999999999\"");
    ran.says("v.csv:4: column id: expected an integer, found \"x\"");
    ran.says("v.csv:5: column f: ").says("v.csv:6: column f: ").says("v.csv:7: column f: ");
    assert_eq!(place.rows("select id, f, t from v order by id"), ["1|1.5|a", "7|2.5|g"]);
}

#[test]
fn a_later_value_that_does_not_fit_what_was_inferred() {
    let place = Place::new();
    let mut text = "n\n".to_owned();
    (0..400_000).for_each(|row| text.push_str(&format!("{row}\n")));
    // Behind the head that is looked at, and between the spots.
    let at = text.find("\n300001\n").unwrap() + 1;
    text.insert_str(at, "three\n");
    place.write("late.csv", text);
    place
        .load("late.csv --create")
        .exits(3)
        .says("late.csv:300003: column n: expected an integer, found \"three\"");
    assert_eq!(place.count("late"), 400_000);
    assert_eq!(place.rows("select type from pragma_table_info('late')"), ["INTEGER"]);
}

#[test]
fn a_nul_in_text() {
    let place = Place::new();
    place.write("z.csv", b"id,t\n1,a\0b\n2,c\n");
    let ran = place.load("z.csv --create");
    ran.report("NUL in text").exits(3).says("z.csv:2: column t: ");
    assert_eq!(place.rows("select id, t from z"), ["2|c"]);
}

#[test]
fn ndjson_with_nested_objects_and_with_lines_that_are_none() {
    let place = Place::new();
    place.write(
        "o.ndjson",
        "{\"id\":1,\"o\":{\"a\":[1,2]}}\n{\"id\":2,\"o\":[true]}\nnonsense\n[1]\n{\"id\":3\n{\"id\":4}\n",
    );
    let ran = place.load("o.ndjson --create");
    ran.report("NDJSON: nested objects, and lines that are no objects").exits(3);
    ran.says("o.ndjson:3: not a JSON object").says("o.ndjson:4: ").says("o.ndjson:5: ").says("character");
    assert_eq!(place.rows("select id, o from o order by id"), ["1|{\"a\":[1,2]}", "2|[true]", "4|NULL"]);
}

#[test]
fn too_many_bad_rows() {
    let place = Place::new();
    let mut text = "n\n".to_owned();
    (0..5_000).for_each(|row| text.push_str(&format!("{row}\n")));
    (0..1_001).for_each(|_| text.push_str("x\n"));
    place.write("t.csv", &text);
    let ran = place.load("t.csv --create --types n=int8 --batch-rows 5000");
    ran.report("--max-errors reached").exits(3).says("1001 rows could not be applied").says("--max-errors");
    assert_eq!((place.count("t"), place.value::<i64>("select complete from standpipe_ledger")), (5_000, 0));
    assert_eq!(
        place.value::<i64>("select count(*) from sqlite_schema where name = 'standpipe_dead_letters'"),
        0
    );
    // With a higher limit the same command goes on.
    place
        .load("t.csv --types n=int8 --max-errors 1001")
        .exits(3)
        .says("0 rows applied, continued after 5,000");
    assert_eq!((place.count("t"), place.count("standpipe_dead_letters")), (5_000, 1_001));
}

#[test]
fn a_share_of_bad_rows() {
    let place = Place::new();
    let text: String =
        (0..4_000).map(|row| if row % 20 == 0 { "x\n".into() } else { format!("{row}\n") }).collect();
    place.write("p.csv", format!("n\n{text}"));
    place
        .load("p.csv --create --types n=int8 --max-errors 4% --batch-rows 2000")
        .exits(3)
        .says("--max-errors");
    assert_eq!(place.count("p"), 0);
    place.load("p.csv --types n=int8 --max-errors 6% --batch-rows 2000").exits(3).says("3,800 rows applied");
    assert_eq!((place.count("p"), place.count("standpipe_dead_letters")), (3_800, 200));
}
