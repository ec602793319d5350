//! Databases and logs that cannot be written to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use std::{fs, process::Command};

use common::{Place, Ran, binary, load_args, mode, sample, until};

fn refused(place: &Place, args: &str) -> Ran {
    let args = load_args(args);
    Ran::of(&args, place.unprivileged(&args).output().unwrap())
}

#[test]
fn a_database_that_another_process_locks() {
    let place = Place::new();
    place.sql("create table a (x int)");
    place.write("a.csv", "x\n1\n");
    let lock = place.database();
    lock.execute_batch("begin immediate").unwrap();
    let ran = place.load("a.csv --retry-for 1s");
    ran.report("database locked by another process").exits(4).says("the database is locked by ");
    // Nobody who waits has to wait.
    let mut given_up = place.start("a.csv --retry-for 60s");
    until("the load is held up", || !is_ended(&mut given_up.child) && waits(given_up.child.id()));
    given_up.signal(rustix::process::Signal::INT);
    given_up.wait().report("Ctrl-C while the database is locked").exits(130);
    // With patience the load goes on when the lock is gone.
    let mut waiting = place.start("a.csv --retry-for 60s --progress json");
    until("the load is held up", || !is_ended(&mut waiting.child) && waits(waiting.child.id()));
    lock.execute_batch("commit").unwrap();
    waiting.wait().exits(0).says("1 rows applied");
    assert_eq!(place.count("a"), 1);
}

fn is_ended(child: &mut std::process::Child) -> bool {
    child.try_wait().unwrap().is_some()
}

/// Whether the process has the database open: it then waits for the lock.
fn waits(pid: u32) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    open.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|path| path.ends_with("t.db")))
}

#[test]
fn a_database_that_is_locked_while_standard_input_flows() {
    let place = Place::new();
    place.sql("pragma journal_mode = wal; create table a (x int)");
    let lock = place.database();
    let mut running = place.start("- --table a --retry-for 60s");
    running.feed("x\n1\n");
    until("the first row is applied", || place.count("a") == 1);
    lock.execute_batch("begin immediate").unwrap();
    running.feed("2\n3\n");
    running.end_input();
    lock.execute_batch("commit").unwrap();
    running.wait().exits(0);
    assert_eq!(place.count("a"), 3);
}

#[test]
fn a_database_that_may_only_be_read() {
    let place = Place::new();
    place.sql("create table a (x int)");
    mode(&place.write("a.csv", "x\n1\n"), 0o644);
    mode(&place.path("t.db"), 0o444);
    refused(&place, "a.csv --retry-for 1s").report("read-only database").exits(4).says("read-only");
    assert_eq!(place.count("a"), 0);
}

#[test]
fn a_directory_that_may_only_be_read() {
    let place = Place::new();
    mode(&place.write("a.csv", "x\n1\n"), 0o644);
    fs::create_dir(place.path("sub")).unwrap();
    mode(&place.path("sub"), 0o555);
    let ran = refused(&place, "a.csv --create --to sqlite:sub/t.db --retry-for 1s");
    ran.report("read-only directory").exits(4).says("sub/t.db").says("directory");
    mode(&place.path("sub"), 0o755);
}

#[test]
fn a_file_that_may_not_be_read() {
    let place = Place::new();
    mode(&place.write("a.csv", "x\n1\n"), 0o000);
    refused(&place, "a.csv --create")
        .report("input may not be read")
        .exits(2)
        .says("a.csv: it may not be read");
}

#[test]
fn a_file_that_is_no_database() {
    let place = Place::new();
    place.write("a.csv", "x\n1\n");
    place.write("t.db", "this is a letter to my aunt, and no database at all\n".repeat(40));
    place
        .load("a.csv --create")
        .report("not a database")
        .exits(4)
        .says("t.db")
        .says("this file is no SQLite database");
    assert!(fs::read(place.path("t.db")).unwrap().starts_with(b"this is a letter"));
}

#[test]
fn a_log_directory_that_cannot_be_written_to() {
    let place = Place::new();
    fs::create_dir(place.path("log")).unwrap();
    mode(&place.path("log"), 0o555);
    let ran = refused(&place, "- --table a --create --wal log");
    ran.report("log directory not writable").exits(4).says("the log at log: ").says("--wal");
    place.write("plain", "");
    let ran = place.load_piped("- --table a --create --wal plain", "x\n1\n");
    ran.report("log directory is a file").exits(4).says("the log at plain: ").says("--wal");
}

#[test]
fn a_log_that_another_process_has_open() {
    let place = Place::new();
    let mut first = place.start("- --table a --create --wal log");
    first.feed("x\n1\n");
    until("the first row is applied", || {
        place.path("t.db").exists()
            && place.value::<i64>("select count(*) from sqlite_schema where name = 'a'") == 1
            && place.count("a") == 1
    });
    let ran = place.load_piped("- --table a --wal log", "x\n2\n");
    ran.report("log directory in use").exits(4).says("the log at log: in use by another process");
    first.end_input();
    first.wait().exits(0);
    assert_eq!(place.rows("select x from a"), ["1"]);
}

/// On a small file system of its own, in a mount name space that ends with the test.
#[test]
fn a_disk_that_is_full() {
    let place = Place::new();
    let script = "mkdir disk keep && mount -t tmpfs -o size=200k none disk || exit 99
        $0 load $1 --to sqlite:disk/t.db --table flights --create --progress none --retry-for 1s; echo code $?
        cp disk/t.db* keep/; mount -o remount,size=20m disk
        $0 load $1 --to sqlite:disk/t.db --table flights --progress none; echo code $?
        cp disk/t.db* .";
    let input = sample("flights.csv");
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script])
        .args([binary(), &input])
        .current_dir(place.path("."))
        .output();
    let ran = match output {
        Ok(output) => Ran::of(&["disk full"], output),
        Err(error) => return println!("SKIPPED a_disk_that_is_full: unshare: {error}"),
    };
    if ran.code == Some(99) || (ran.code != Some(0) && ran.err.contains("unshare:")) {
        return println!("SKIPPED a_disk_that_is_full: this system mounts nothing for tests: {}", ran.err);
    }
    ran.report("disk full").says("code 4").says("disk is full").says("make room").says("code 0");
    assert_eq!(place.count("flights"), 4_000);
    assert_eq!(
        place.value::<i64>(
            "select count(distinct year || month || day || sched_dep_time || carrier || flight) from flights"
        ),
        4_000
    );
}

/// The same without the rights to mount: writes beyond a limit of the process fail.
#[test]
fn a_file_that_may_not_grow() {
    let place = Place::new();
    let script = "trap '' XFSZ; ulimit -f 300; exec $0 load $1 --to sqlite:t.db --table flights --create --progress none --retry-for 1s";
    let input = sample("flights.csv");
    let mut command = Command::new("sh");
    command.args(["-c", script]).args([binary(), &input]).current_dir(place.path("."));
    let ran = Ran::of(&["file size limit"], command.output().unwrap());
    ran.report("database file may not grow").exits(4).says("t.db").says("--retry-for");
    place.load(&format!("{} --table flights", input.display())).exits(0);
    assert_eq!(place.count("flights"), 4_000);
}
