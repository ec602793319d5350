//! Servers as other parts of xtask use them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{Command, Stdio},
};

use super::{Options, PgBouncer, Postgres, home, process, shared_memory};

/// A server, or the word that there is none.
fn server(name: &str, settings: &[(&str, &str)]) -> Option<Postgres> {
    if std::env::var_os("STANDPIPE_TEST_POSTGRES").is_none() {
        skipped("no STANDPIPE_TEST_POSTGRES");
        return None;
    }
    Some(Postgres::start(&Options { name: &format!("xtask-{name}"), settings }).unwrap())
}

fn skipped(why: &str) {
    let line = format!("skipped: {why}: run 'cargo xtask test', or 'eval \"$(cargo xtask services env)\"'\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("STANDPIPE_TEST_SKIPS") {
        let mut file = fs::File::options().append(true).create(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
    }
}

fn sql(server: &Postgres, url: &str, text: &str) -> Result<String, String> {
    let mut psql = Command::new(server.programs().join("psql"));
    psql.args([url, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text]).stdin(Stdio::null());
    let output = psql.output().unwrap();
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(words(&output.stdout)) } else { Err(words(&output.stderr)) }
}

fn ask(server: &Postgres, text: &str) -> String {
    sql(server, &server.url(), text).unwrap()
}

fn is_attached_or_left(segment: &(String, String)) -> bool {
    let all = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    all.lines().any(|line| {
        let mut columns = line.split_whitespace();
        columns.next() == Some(&segment.0) && columns.next() == Some(&segment.1)
    })
}

fn is_gone(place: &Path, segment: &(String, String)) -> bool {
    process::working_in(place).is_empty() && !is_attached_or_left(segment) && !place.exists()
}

#[test]
fn a_server_that_stops_leaves_no_process_no_shared_memory_and_no_file() {
    let Some(server) = server("stop", &[("work_mem", "5MB")]) else { return };
    assert_eq!(ask(&server, "show work_mem"), "5MB");
    for (name, value) in [("fsync", "on"), ("synchronous_commit", "on"), ("max_prepared_transactions", "64")]
    {
        assert_eq!(ask(&server, &format!("show {name}")), value);
    }
    let place = server.home().path().to_owned();
    let segment = shared_memory::segment(&server.data()).unwrap();
    assert!(is_attached_or_left(&segment), "the test looks for the wrong segment");
    assert!(process::working_in(&place).iter().any(|pid| pid.as_raw_pid() as u32 == server.pid().unwrap()));
    server.stop().unwrap();
    assert!(is_gone(&place, &segment));
}

#[test]
fn a_killed_server_starts_again_with_what_was_committed() {
    let Some(mut server) = server("kill", &[]) else { return };
    let url = server.url();
    ask(&server, "create table kept (number int); insert into kept values (7)");
    ask(&server, "begin; insert into kept values (8); prepare transaction 'eight'");
    let data = server.data();
    for _ in 0..2 {
        server.kill().unwrap();
        assert!(server.pid().is_none() && process::working_in(&data).is_empty());
        assert!(sql(&server, &url, "select 1").is_err());
        server.start_again().unwrap();
    }
    assert_eq!(server.url(), url);
    assert_eq!(ask(&server, "select number from kept"), "7");
    ask(&server, "commit prepared 'eight'");
    // An operator's stop, and a setting that needs one.
    server.halt().unwrap();
    assert!(process::working_in(&data).is_empty());
    server.configure(&[("max_prepared_transactions", "65")]).unwrap();
    server.start_again().unwrap();
    assert_eq!(ask(&server, "show max_prepared_transactions"), "65");
    assert_eq!(ask(&server, "select sum(number) from kept"), "15");
}

#[test]
fn a_killed_server_that_is_dropped_leaves_nothing() {
    let Some(mut server) = server("drop", &[]) else { return };
    let place = server.home().path().to_owned();
    let segment = shared_memory::segment(&server.data()).unwrap();
    server.kill().unwrap();
    assert!(is_attached_or_left(&segment), "a killed server leaves its segment, or this test shows nothing");
    drop(server);
    assert!(is_gone(&place, &segment));
}

#[test]
fn a_panic_stops_the_server() {
    let Some(server) = server("panic", &[]) else { return };
    let place = server.home().path().to_owned();
    let segment = shared_memory::segment(&server.data()).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _server = server;
        panic!("as planned");
    }));
    assert!(panicked.is_err() && is_gone(&place, &segment));
}

#[test]
fn a_paused_server_goes_on_and_can_be_killed() {
    let Some(mut server) = server("pause", &[]) else { return };
    let states = |server: &Postgres| -> Vec<bool> {
        let pids = process::working_in(&server.data());
        let stat = pids.iter().map(|pid| format!("/proc/{}/stat", pid.as_raw_pid()));
        stat.map(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(") T "))).collect()
    };
    server.pause();
    assert!(process::wait_until(std::time::Duration::from_secs(60), || {
        let states = states(&server);
        states.len() > 1 && states.iter().all(|is_stopped| *is_stopped)
    }));
    server.resume();
    assert_eq!(ask(&server, "select 1"), "1");
    server.pause();
    server.kill().unwrap();
    server.start_again().unwrap();
    assert_eq!(ask(&server, "select 1"), "1");
}

#[test]
fn two_of_one_name_run_side_by_side_and_nobody_gets_in_without_the_password() {
    let Some(one) = server("same", &[]) else { return };
    let Some(other) = server("same", &[]) else { return };
    assert_ne!(one.data(), other.data());
    ask(&one, "create table here ()");
    assert!(sql(&other, &other.url(), "select from here").is_err());
    let wrong = one.url().replace(one.password(), other.password());
    let refused = sql(&one, &wrong, "select 1").unwrap_err();
    assert!(refused.contains("password authentication failed"), "{refused}");
    let kind = "select rolpassword like 'SCRAM-SHA-256$%' from pg_authid where rolname = current_user";
    assert_eq!(ask(&one, kind), "t");
}

#[test]
fn pgbouncer_gives_a_connection_for_a_transaction() {
    let Some(server) = server("bounced", &[]) else { return };
    let bouncer = match PgBouncer::start(&server) {
        Ok(bouncer) => bouncer,
        Err(why) => return skipped(&why.to_string()),
    };
    ask(&server, "create database another");
    let mode = sql(&server, &bouncer.url().replace("/postgres", "/pgbouncer"), "show config").unwrap();
    assert!(mode.lines().any(|line| line.starts_with("pool_mode|transaction|")), "{mode}");
    let another = bouncer.url().replace("/postgres", "/another");
    assert_eq!(sql(&server, &another, "select current_database()").unwrap(), "another");
    let place = bouncer.home().path().to_owned();
    assert!(home::recorded(&place).is_some());
    bouncer.stop().unwrap();
    assert!(!place.exists() && process::working_in(&place).is_empty());
}

#[test]
fn a_process_of_somebody_else_is_none_of_ours() {
    let place = std::env::temp_dir().join(format!("xtask-services-guest-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    // It stands for a shell that somebody has open there.
    let mut guest = Command::new("sleep").arg("1000").current_dir(&place).spawn().unwrap();
    process::kill_all(&place).unwrap();
    assert!(process::working_in(&place).is_empty());
    assert!(guest.try_wait().unwrap().is_none());
    guest.kill().unwrap();
    guest.wait().unwrap();
    fs::remove_dir_all(&place).unwrap();
}
