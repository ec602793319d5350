//! Tables that do not fit to the input.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Place;

#[test]
fn a_table_that_is_absent() {
    let place = Place::new();
    place.write("a.csv", "x\n1\n");
    place
        .load("a.csv")
        .report("database absent without --create")
        .exits(4)
        .says("there is no such database file");
    place.sql("create table other (x int)");
    place
        .load("a.csv")
        .report("table absent without --create")
        .exits(4)
        .says("table a does not exist")
        .says("--create");
}

#[test]
fn a_table_with_other_types() {
    let place = Place::new();
    place.sql("create table t (id integer, at timestamp, ok boolean)");
    place.write("t.csv", "id,at,ok\n1,2024-05-01T10:00:00,true\ntwo,2024-05-01T10:00:00,true\n3,yesterday,true\n4,,maybe\n5,,\n");
    let ran = place.load("t.csv");
    ran.report("a table with other types").exits(3);
    ran.says("t.csv:3: column id: ").says("t.csv:4: column at: ").says("t.csv:5: column ok: ");
    assert_eq!(place.rows("select id from t order by id"), ["1", "5"]);
}

#[test]
fn unknown_columns_of_a_csv() {
    let input = "a,b,c\n1,2,3\n";
    let place = Place::new();
    place.write("u.csv", input);
    place.sql("create table u (a int, b int)");
    let ran = place.load("u.csv");
    ran.report("CSV, unknown column, reject")
        .exits(2)
        .says("u.csv:1: c is no column of table u (it has a, b)");
    ran.says("--unknown-field ignore or add");
    let ran = place.load("u.csv --unknown-field ignore");
    ran.report("CSV, unknown column, ignore").exits(0);
    assert_eq!(place.rows("select * from u"), ["1|2"]);

    let place = Place::new();
    place.write("u.csv", input);
    place.sql("create table u (a int, b int)");
    place.load("u.csv --unknown-field add").report("CSV, unknown column, add").exits(0);
    assert_eq!(place.rows("select a, b, c, typeof(c) from u"), ["1|2|3|integer"]);
}

#[test]
fn unknown_fields_of_ndjson() {
    let input = "{\"a\":1}\n{\"a\":2,\"c\":7}\n";
    for (policy, code, rows) in [("reject", 3, vec!["1"]), ("ignore", 0, vec!["1", "2"])] {
        let place = Place::new();
        place.write("u.ndjson", input);
        place.sql("create table u (a int, b int)");
        let ran = place.load(&format!("u.ndjson --unknown-field {policy}"));
        ran.report(&format!("NDJSON, unknown field, {policy}")).exits(code);
        if code == 3 {
            ran.says("u.ndjson:2: column c: the table has no such column");
        }
        assert_eq!(place.rows("select a from u order by a"), rows);
    }
    let place = Place::new();
    place.write("u.ndjson", input);
    place.sql("create table u (a int, b int)");
    place.load("u.ndjson --unknown-field add").report("NDJSON, unknown field, add").exits(0);
    assert_eq!(place.rows("select a, b, c from u order by a"), ["1|NULL|NULL", "2|NULL|7"]);
}

#[test]
fn generated_columns_and_columns_that_are_needed() {
    let place = Place::new();
    place.sql(
        "create table g (a int, twice int generated always as (a * 2) stored);
         create table n (a int, b text not null);
         create table d (a int, b text not null default 'x')",
    );
    place.write("g.csv", "a,twice\n1,2\n");
    place.load("g.csv").report("a generated column").exits(2).says("g.csv:1: column twice of g is generated");
    place.write("n.csv", "a\n1\n");
    place
        .load("n.csv")
        .report("a NOT NULL column is missing")
        .exits(2)
        .says("n.csv:1: table n needs b")
        .says("default");
    place.write("n.ndjson", "{\"a\":1}\n{\"a\":2,\"b\":\"z\"}\n");
    place
        .load("n.ndjson")
        .report("NDJSON, a NOT NULL field is missing")
        .exits(3)
        .says("n.ndjson:1: column b: ");
    assert_eq!(place.rows("select a, b from n"), ["2|z"]);
    place.write("d.csv", "a\n1\n");
    place.load("d.csv").exits(0);
    assert_eq!(place.rows("select a, b from d"), ["1|x"]);
    place.write("nn.csv", "a,b\n1,\n2,y\n");
    place.load("nn.csv --table n").report("NULL in a NOT NULL column").exits(3).says("nn.csv:2: column b: ");
    assert_eq!(place.rows("select a, b from n where a = 2 and b = 'y'"), ["2|y"]);
}

#[test]
fn constraints_of_the_table_are_reasons_of_single_rows() {
    let place = Place::new();
    place.sql("create table c (id integer primary key, n int check (n < 100))");
    place.write("c.csv", "id,n\n1,1\n2,200\n1,3\n4,4\n");
    let ran = place.load("c.csv");
    ran.report("a CHECK and a duplicate key")
        .exits(3)
        .says("c.csv:3: ")
        .says("c.csv:4: ")
        .says("SQLITE_CONSTRAINT");
    assert_eq!(place.rows("select id, n from c order by id"), ["1|1", "4|4"]);
}

#[test]
fn keys_that_cannot_be() {
    let place = Place::new();
    place.sql("create table k (id int, n int)");
    place.write("k.csv", "id,n\n1,1\n");
    place.load("k.csv --mode upsert").report("upsert without --key").exits(2).says("add --key");
    place.load("k.csv --mode upsert --key no").exits(2).says("--key names no");
    let ran = place.load("k.csv --mode upsert --key id");
    ran.report("upsert, and the table has no such key");
    assert!(matches!(ran.code, Some(2 | 4)), "{}", ran.told());
    ran.says("unique");
    assert_eq!(place.count("k"), 0);
}
