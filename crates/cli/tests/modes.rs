//! Modes, keys, lanes, truncation.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;

use common::{Place, sample};

#[test]
fn what_a_row_does_to_one_with_the_same_key() {
    for (mode, code, expected) in [
        ("append", 3, ["1|old|7", "2|b|0"]),
        ("ignore", 0, ["1|old|7", "2|b|0"]),
        ("upsert", 0, ["1|newer|7", "2|b|0"]),
        ("replace", 0, ["1|newer|0", "2|b|0"]),
    ] {
        let place = Place::new();
        place.sql("create table k (id int primary key, t text, n int default 0); insert into k values (1, 'old', 7)");
        place.write("k.csv", "id,t\n1,new\n2,b\n1,newer\n");
        let ran = place.load(&format!("k.csv --mode {mode} --key id"));
        ran.exits(code);
        if code == 3 {
            ran.says("k.csv:2: ").says("k.csv:4: ").says("SQLITE_CONSTRAINT");
        }
        assert_eq!(place.rows("select id, t, n from k order by id"), expected, "{mode}");
    }
}

#[test]
fn the_key_of_a_table_that_is_made_is_its_primary_key() {
    let place = Place::new();
    place.write("k.csv", "id,t\n1,a\n2,b\n");
    place.load("k.csv --create --key id --mode upsert").exits(0);
    assert_eq!(place.rows("select name from pragma_table_info('k') where pk > 0"), ["id"]);
}

#[test]
fn truncation_is_part_of_the_first_commit() {
    let place = Place::new();
    place.sql("create table t (x int); insert into t values (1), (2)");
    place.write("t.csv", "x\n8\n9\n");
    place.load("t.csv --truncate").exits(0);
    assert_eq!(place.rows("select x from t"), ["8", "9"]);
    // Also when there is nothing to put in.
    place.write("e.csv", "x\n");
    place.load("e.csv --table t --truncate").exits(0);
    assert_eq!(place.count("t"), 0);
    // A file that has grown does not begin again.
    place.append("e.csv", "5\n");
    place.load("e.csv --table t --truncate").exits(0);
    place.append("e.csv", "6\n");
    place.load("e.csv --table t --truncate").exits(0);
    assert_eq!(place.rows("select x from t"), ["5", "6"]);
    // Piped input too.
    place.load_piped("- --table t --truncate", "x\n7\n").exits(0);
    assert_eq!(place.rows("select x from t"), ["7"]);
}

#[test]
fn several_lanes_stand_at_different_places_and_go_on_from_there() {
    let place = Place::new();
    place.write("f.csv", fs::read(sample("flights.csv")).unwrap());
    place
        .load("f.csv --create --lanes 4 --key time_hour,carrier,flight,origin --batch-rows 300")
        .exits(0)
        .says("4,000 applied");
    let lanes = place.rows("select lane, lanes, complete from standpipe_ledger order by lane");
    assert_eq!(lanes, ["0|4|1", "1|4|1", "2|4|1", "3|4|1"]);
    // As a crash leaves them: two lanes were committed less far than the others.
    let place = lanes_at_different_places();
    place
        .load("f.csv")
        .report("lanes, another key")
        .exits(2)
        .says("time_hour,carrier,flight,origin")
        .says("give the same key");
    place.load("f.csv --key carrier").exits(2).says("give the same key");
    place.load("f.csv --key time_hour,carrier,flight,origin").exits(0).never_says("4,000 rows applied");
    assert_eq!(place.count("f"), 4_000);
    assert_eq!(
        place.value::<i64>("select count(distinct time_hour || carrier || flight || origin) from f"),
        4_000
    );
    place.load("f.csv").exits(0).says("already complete");
    place.load("f.csv --lanes 2 --key time_hour,carrier,flight,origin").exits(0).says("already complete");
    place.append("f.csv", "2013,9,9,1.0,1,1.0,1.0,1,1.0,ZZ,1,N1,EWR,IAH,1.0,1,1,1,2013-09-09T10:00:00Z\n");
    place.load("f.csv --lanes 2 --key time_hour,carrier,flight,origin").exits(4).says("has 4 lanes");
    place.load("f.csv --key time_hour,carrier,flight,origin").exits(0).says("1 rows applied");
}

/// Kills a load with four lanes again and again until its lanes stand at different places.
fn lanes_at_different_places() -> Place {
    for round in 0..200_u64 {
        let place = Place::new();
        place.write("f.csv", fs::read(sample("flights.csv")).unwrap());
        let mut running = place.start("f.csv --create --lanes 4 --key time_hour,carrier,flight,origin --batch-rows 50 --flush-after 1ms");
        let uneven = || {
            let database = rusqlite::Connection::open(place.path("t.db")).ok()?;
            let sql = "select count(distinct position) from standpipe_ledger where complete = 0";
            database.query_row(sql, [], |row| row.get::<_, i64>(0)).ok().filter(|places| *places > 1)
        };
        let mut looks = 0;
        while looks < 10_000 && running.child.try_wait().unwrap().is_none() {
            looks += 1;
            if uneven().is_some() {
                break;
            }
        }
        running.kill();
        if uneven().is_some() {
            return place;
        }
        assert!(round < 199, "no kill left the lanes at different places");
    }
    unreachable!("the loop returns or fails")
}

#[test]
fn a_table_is_not_emptied_by_one_file_after_another() {
    let place = Place::new();
    place.write("a.csv", "x\n1\n");
    place.write("b.csv", "x\n2\n");
    place
        .load("a.csv b.csv --table t --create --truncate")
        .exits(2)
        .says("--truncate empties a table for each file");
    assert_eq!(place.value::<i64>("select count(*) from sqlite_schema"), 0);
}
