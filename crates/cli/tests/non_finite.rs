//! NaN and the infinities go where the target holds them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use common::Place;

const ROWS: &str = "id,f\n1,NaN\n2,-Infinity\n3,0.5\n";

#[test]
fn a_target_that_cannot_hold_them_gets_none() {
    let place = Place::new();
    place.write("t.csv", ROWS);
    let ran = place.load("t.csv --create --types id=int8,f=float8");
    ran.exits(3);
    assert_eq!(place.count("t"), 1);
}

#[test]
fn a_target_that_holds_them_gets_them() {
    let Ok(server) = std::env::var("STANDPIPE_TEST_POSTGRES") else {
        let skipped = "a_target_that_holds_them_gets_them: no PostgreSQL server (STANDPIPE_TEST_POSTGRES)";
        eprintln!(
            "skipped: {skipped}: run `cargo xtask test`, or `eval \"$(cargo xtask services env)\"` first"
        );
        if let Ok(path) = std::env::var("STANDPIPE_TEST_SKIPS") {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            std::io::Write::write_all(&mut file, format!("{skipped}\n").as_bytes()).unwrap();
        }
        return;
    };
    let place = Place::new();
    let name = format!("non_finite_{}", std::process::id());
    place.write(&format!("{name}.csv"), ROWS);
    let ran = place.load(&format!(
        "{name}.csv --create --types id=int8,f=float8 --max-errors 0 --stream {name} --to {server}"
    ));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}
