//! A few kills at seeded moments; `cargo xtask crash` does many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use common::{Place, sample};

const KILLS: u32 = 10;

#[test]
fn each_row_is_there_once_after_many_kills() {
    let seed = 1_u64;
    let place = Place::new();
    let text = fs::read_to_string(sample("flights.csv")).unwrap();
    place.write("flights.csv", &text);
    let args = "flights.csv --create --batch-rows 100 --flush-after 1ms";
    let began = Instant::now();
    let undisturbed = Place::new();
    undisturbed.write("flights.csv", &text);
    undisturbed.load(args).exits(0);
    let whole_us = u64::try_from(began.elapsed().as_micros()).unwrap();
    let (mut bits, mut kills, mut runs) = (seed, 0, 0);
    while kills < KILLS {
        runs += 1;
        assert!(runs < 200, "{kills} kills in {runs} runs");
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        let mut running = place.start(args);
        let moment = Instant::now() + Duration::from_micros(bits % whole_us);
        while Instant::now() < moment {
            thread::park_timeout(Duration::from_micros(200));
        }
        let has_ended = running.child.try_wait().unwrap().is_some();
        running.kill();
        kills += u32::from(!has_ended);
        if has_ended {
            // The rest of the kills come in a load from the beginning.
            check(&place, &text);
            for name in ["t.db", "t.db-wal", "t.db-shm"] {
                let _ = fs::remove_file(place.path(name));
            }
        }
    }
    place.load(args).exits(0);
    check(&place, &text);
    println!("seed {seed}, kills {kills}, rows {}, lost 0, duplicated 0", place.count("flights"));
}

fn check(place: &Place, text: &str) {
    let mut expected: Vec<String> = text
        .lines()
        .skip(1)
        .map(|line| {
            let field = |index| line.split(',').nth(index).unwrap();
            format!("{}|{}|{}|{}", field(18), field(9), field(10), field(12))
        })
        .collect();
    let mut found =
        place.rows("select strftime('%Y-%m-%dT%H:%M:%SZ', time_hour), carrier, flight, origin from flights");
    expected.sort_unstable();
    found.sort_unstable();
    assert!(expected == found, "{} rows expected, {} found", expected.len(), found.len());
}
