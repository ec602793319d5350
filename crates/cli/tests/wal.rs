//! `standpipe wal inspect|verify|dump`: what they print, and how they end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use common::{Place, Ran, mode};
use serde_json::Value;
use standpipe::wal::{Log, Lsn, Record, Settings, Ticket, Wal};

const FIRST: &str = "00000000000000000001.wal";
const SECOND: &str = "00000000000000000002.wal";

/// A log in `log`: 12 records of 3,000 bytes in segments of 28 KiB, a pin, a gap, and a record that is no text.
fn make_log(place: &Place) -> PathBuf {
    let dir = place.path("log");
    let log = Wal::open(&dir, Settings { segment_bytes: 28 << 10, ..Settings::default() }).unwrap();
    log.pin(b"schema/\x00\x01", b"a bigint").unwrap().wait().unwrap();
    let append = |bytes: &[u8]| log.append(Record::new(&[bytes])).unwrap().wait().unwrap();
    for number in 0..12 {
        append(format!("record {number} {}", "x".repeat(2990)).as_bytes());
    }
    log.advance_to(Lsn::new(20)).unwrap();
    append(b"\x1b[31mred\xff");
    append("last: \u{e9}\n".as_bytes());
    log.close().unwrap();
    dir
}

fn damage(dir: &Path, text: &str) {
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            bytes[at] ^= 1;
            return fs::write(path, bytes).unwrap();
        }
    }
    panic!("{text} is in no segment");
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.told()))
}

#[test]
fn the_inspection_of_a_fixed_log_of_each_version_reads_as_it_did() {
    for version in ["v1", "v2"] {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wal/tests/golden").join(version);
        let place = Place::new();
        fs::create_dir(place.path(version)).unwrap();
        for file in fs::read_dir(golden).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), place.path(version).join(file.file_name())).unwrap();
        }
        let ran = place.run(&["wal", "inspect", version, "--values"]);
        let expected = format!("tests/golden/inspect-{version}.txt");
        let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join(expected);
        if std::env::var_os("STANDPIPE_WRITE_GOLDEN").is_some() {
            fs::write(&expected, &ran.exits(0).out).unwrap();
        }
        assert_eq!(ran.exits(0).out, fs::read_to_string(expected).unwrap());
        place.run(&["wal", "verify", version]).exits(0).says("sound");
        place.run(&["wal", "repair", version, "copy"]).exits(0).says("nothing is lost");
        let records = |dir: &str| place.run(&["wal", "dump", dir, "--format", "json"]).out;
        assert_eq!(records(version), records("copy"));
    }
}

#[test]
fn an_inspection_for_machines() {
    let place = Place::new();
    make_log(&place);
    let found = json(place.run(&["wal", "inspect", "log", "--json"]).exits(0));
    assert_eq!(found["totals"]["data_records"], 14);
    assert_eq!(found["totals"]["compression_ratio"], 1.0);
    assert_eq!((&found["start_lsn"], &found["end_lsn"]), (&1.into(), &22.into()));
    assert_eq!(found["tail"]["state"], "closed");
    assert_eq!(found["log"].as_str().unwrap().len(), 32);
    let segments = found["segments"].as_array().unwrap();
    let states: Vec<_> = segments.iter().map(|segment| segment["state"].as_str().unwrap()).collect();
    assert_eq!((states[0], *states.last().unwrap()), ("sealed", "last"));
    assert!(segments.iter().all(|segment| (0.0..=1.0).contains(&segment["fill"].as_f64().unwrap())));
    assert_eq!(found["pins"][0]["key"], "schema/\\u{0}\\u{1}");
    assert_eq!((&found["pins"][0]["value_bytes"], &found["pins"][0]["value"]), (&8.into(), &Value::Null));
    let found = json(&place.run(&["wal", "inspect", "log", "--json", "--values"]));
    assert_eq!(found["pins"][0]["value"], "a bigint");
    place.run(&["wal", "inspect", "log"]).exits(0).says("schema/").never_says("a bigint");
    place.run(&["wal", "inspect", "log", "--values"]).exits(0).says("a bigint");
}

#[test]
fn a_sound_log_and_a_damaged_one() {
    let place = Place::new();
    let dir = make_log(&place);
    place.run(&["wal", "verify", "log"]).exits(0).says("14 records").says("GiB/s").says("sound");
    assert_eq!(json(&place.run(&["wal", "verify", "log", "--json"]))["sound"], true);
    damage(&dir, "record 2 ");
    damage(&dir, "record 7 ");
    for command in ["verify", "inspect"] {
        let ran = place.run(&["wal", command, "log"]);
        ran.exits(5).says("lost: record 3").says("lost: record 8").says("damaged in 2 places");
        ran.says("nothing was changed").says("standpipe wal repair log NEW-DIRECTORY");
    }
    let found = json(place.run(&["wal", "verify", "log", "--json"]).exits(5));
    let lost: Vec<_> = found["damage"].as_array().unwrap().iter().map(|damage| &damage["lost"]).collect();
    assert_eq!((&lost[0]["from"], &lost[0]["to"], &lost[1]["count"]), (&3.into(), &3.into(), &1.into()));
    assert_eq!(found["damage"][0]["segment"], FIRST);
    assert_eq!(found["totals"]["data_records"], 12);
}

#[test]
fn a_log_that_is_open_is_looked_at_beside_its_owner() {
    let place = Place::new();
    let log = Wal::open(place.path("log"), Settings::default()).unwrap();
    log.append(Record::new(&[b"hello"])).unwrap().wait().unwrap();
    place.run(&["wal", "inspect", "log"]).exits(0).says("not closed: in use, or left by a crash");
    place.run(&["wal", "verify", "log"]).exits(0).says("sound");
    place.run(&["wal", "dump", "log", "--format", "text"]).exits(0).says("1\thello");
    place.run(&["wal", "repair", "log", "copy"]).exits(2).says("in use by another process");
    assert!(!place.path("copy").exists() && !place.path("copy.repairing").exists());
}

#[test]
fn records_as_text_hex_and_json() {
    let place = Place::new();
    make_log(&place);
    let dump = |more: &[&str]| place.run(&[&["wal", "dump", "log"], more].concat());
    let ran = dump(&["--format", "text", "--from", "12"]);
    let lines: Vec<_> = ran.exits(0).out.lines().collect();
    assert!(lines[0].starts_with("12\trecord 11 xxx"));
    assert_eq!(lines[1..], ["-- no records 13 to 19", "20\t\\u{1b}[31mred\\xff", "21\tlast: é\\n"]);
    let ran = dump(&["--from", "20"]);
    ran.exits(0).says("record 20, 9 bytes").says("  00000000  1b 5b 33 31 6d 72 65 64  ff  ");
    ran.says("|.[31mred.|").never_says("\u{1b}");
    let ran = dump(&["--format", "json", "--from", "20"]);
    let lines: Vec<Value> =
        ran.exits(0).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["lsn"], &lines[0]["length"]), (&20.into(), &9.into()));
    assert_eq!((&lines[0]["hex"], &lines[0]["text"]), (&"1b5b33316d726564ff".into(), &Value::Null));
    assert_eq!(lines[1]["text"], "last: é\n");
    let ran = dump(&["--format", "json", "--limit", "1"]);
    let lines: Vec<Value> =
        ran.exits(0).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["pin"]["value"], &lines[1]["lsn"], lines.len()),
        (&"a bigint".into(), &1.into(), 2)
    );
    let ran = dump(&["--format", "text", "--frames", "--from", "3", "--to", "4"]);
    ran.exits(0).says("-- frame at 0000").says("codec 0").says("3\trecord 2").never_says("5\trecord");
    let ran = dump(&["--frames", "--format", "json"]);
    ran.exits(0).says("\"frame\":{").says("\"restated\":true").says("{\"gap\":{\"from\":13,\"to\":19}}");
    dump(&["--from", "9", "--to", "3"]).exits(2).says("--to 3 is below --from 9");
    dump(&["--limit", "0"]).exits(2);
    assert_eq!(dump(&["--from", "1000"]).exits(0).out, "");
}

#[test]
fn a_dump_stops_at_damage_or_says_what_it_passed() {
    let place = Place::new();
    let dir = make_log(&place);
    damage(&dir, "record 5 ");
    let ran = place.run(&["wal", "dump", "log", "--format", "text"]);
    ran.exits(5).says("5\trecord 4").never_says("7\trecord 6").says("--skip-damaged");
    let ran = place.run(&["wal", "dump", "log", "--format", "text", "--skip-damaged"]);
    ran.exits(0).says("7\trecord 6").says("-- no record 6").says("21\tlast");
    assert!(
        ran.err.contains("lost: record 6") && ran.err.contains("passed over damage in 1 places"),
        "{}",
        ran.told()
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = Place::new();
    make_log(&place);
    let mut child = place.command(&["wal", "dump", "log"]).spawn().unwrap();
    // As `head -1`: one line, then the pipe is closed.
    let mut line = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ran = Ran::of(&["wal", "dump", "log"], child.wait_with_output().unwrap());
    assert_eq!(ran.exits(0).err, "");
    assert!(line.starts_with("-- before record 1"), "{line}");
}

#[test]
fn directories_that_hold_no_log_are_named() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    fs::create_dir(place.path("other")).unwrap();
    place.write("other/notes.txt", "x");
    place.write("other/more.txt", "x");
    fs::create_dir(place.path("young")).unwrap();
    place.write("young/00000000000000000001.wal.new", "half");
    place.write("file", "x");
    symlink("nowhere", place.path("dangling")).unwrap();
    for command in ["inspect", "verify", "dump", "repair"] {
        let run = |dir: &str| match command {
            "repair" => place.run(&["wal", command, dir, "copy"]),
            _ => place.run(&["wal", command, dir]),
        };
        run("nowhere").exits(2).says("no such directory");
        run("dangling").exits(2).says("no such directory");
        run("file").exits(2).says("no directory");
        run("empty").exits(2).says("there is no file in it");
        run("other").exits(2).says("none of a log");
        run("young").exits(2).says("interrupted");
        assert!(!place.path("copy").exists() && !place.path("copy.repairing").exists(), "{command}");
    }
    assert_eq!(fs::read_dir(place.path("young")).unwrap().count(), 1);
}

#[test]
fn files_that_are_not_what_they_seem() {
    let place = Place::new();
    let dir = make_log(&place);
    // A link in the place of a segment: passed over, as by the log itself, and said.
    fs::rename(dir.join(SECOND), place.path("elsewhere.wal")).unwrap();
    symlink(place.path("elsewhere.wal"), dir.join(SECOND)).unwrap();
    let ran = place.run(&["wal", "verify", "log"]);
    ran.exits(5).says("is no plain file").says("00000000000000000002.wal, is missing");
    fs::remove_file(dir.join(SECOND)).unwrap();
    fs::rename(place.path("elsewhere.wal"), dir.join(SECOND)).unwrap();
    fs::create_dir(dir.join("00000000000000000099.wal")).unwrap();
    place.run(&["wal", "verify", "log"]).exits(0).says("00000000000000000099.wal is no plain file");
    place.write("log/notes.txt", "x");
    place.run(&["wal", "inspect", "log"]).exits(0).says("other files, not looked at: notes.txt");
    // Nothing but nonsense, under the right names.
    fs::create_dir(place.path("nonsense")).unwrap();
    place.write(&format!("nonsense/{FIRST}"), vec![0xa3; 100_000]);
    place.write(&format!("nonsense/{SECOND}"), "");
    for command in ["inspect", "verify"] {
        place.run(&["wal", command, "nonsense"]).exits(5).says("damaged in 2 places");
    }
    place.run(&["wal", "dump", "nonsense"]).exits(5);
    place.run(&["wal", "repair", "nonsense", "copy"]).exits(5).says("nothing can be saved");
    assert!(!place.path("copy").exists());
}

#[test]
fn a_segment_that_may_not_be_read_is_said() {
    let place = Place::new();
    let dir = make_log(&place);
    mode(&dir, 0o755);
    for file in fs::read_dir(&dir).unwrap() {
        mode(&file.unwrap().path(), 0o644);
    }
    mode(&dir.join(SECOND), 0o000);
    for args in [&["wal", "inspect", "log"][..], &["wal", "verify", "log"], &["wal", "repair", "log", "copy"]]
    {
        let ran = Ran::of(args, place.unprivileged(args).output().unwrap());
        ran.exits(2).says(SECOND).says("ermission denied");
    }
    assert!(!place.path("copy").exists() && !place.path("copy.repairing").exists());
    mode(&dir.join(SECOND), 0o444);
    // Rights to read are enough.
    mode(&dir, 0o555);
    let args = ["wal", "verify", "log"];
    Ran::of(&args, place.unprivileged(&args).output().unwrap()).exits(0).says("sound");
    mode(&dir, 0o755);
}

#[test]
fn a_later_version_is_refused_by_name() {
    let place = Place::new();
    let dir = make_log(&place);
    let mut bytes = fs::read(dir.join(SECOND)).unwrap();
    bytes[8] = 99;
    let checksum = crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&checksum.to_le_bytes());
    fs::write(dir.join(SECOND), bytes).unwrap();
    for args in [&["wal", "inspect", "log"][..], &["wal", "verify", "log"], &["wal", "repair", "log", "copy"]]
    {
        place.run(args).exits(2).says("format version 99, which this build does not read");
    }
}

/// Bit by bit, as the format's table says.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

#[test]
fn the_help_of_every_tool_has_examples_and_exit_codes() {
    let place = Place::new();
    for command in ["inspect", "verify", "dump", "repair", "bench"] {
        let ran = place.run(&["wal", command, "--help"]);
        ran.exits(0).says("Example").says(&format!("standpipe wal {command}")).says("Exit codes: 0");
        let options = ran.out.split("Options:").nth(1).unwrap().split("Examples:").next().unwrap();
        for option in options.split("\n      --").skip(1) {
            let name = option.split_whitespace().next().unwrap();
            assert!(option.contains("[default: "), "{command} --{name} tells no default:\n{option}");
        }
        place.run(&["wal", command]).exits(2);
    }
}

#[test]
fn what_cannot_be_told_is_no_success() {
    let place = Place::new();
    let dir = make_log(&place);
    for args in [&["wal", "verify", "log"][..], &["wal", "inspect", "log", "--json"], &["wal", "dump", "log"]]
    {
        let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = place.command(args).stdout(full()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("writing to standard output"), "{args:?}: {said}");
        // A reader that went away is none.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = place.command(args).stdout(writer).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{args:?}");
    }
    // Damage is worse than that.
    damage(&dir, "record 3 ");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = place.command(&["wal", "verify", "log"]).stdout(full).output().unwrap();
    assert_eq!(ran.status.code(), Some(5));
}
