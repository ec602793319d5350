//! `bench` around programs that behave as a test wants them to: a `cargo` that builds nothing, and workloads that
//! answer, fail or hang.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Far beyond what a loaded machine needs; only a test that fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(120);

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let dir = env::temp_dir().join(format!("xtask-bench-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("bin")).unwrap();
        let place = Place(dir);
        place.script("standpipe-bench", BENCH);
        for name in ["standpipe", "standpipe-hot", "micro"] {
            place.script(name, "exit 1");
        }
        place.script("cargo", CARGO);
        place
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.0.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn bench(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let path = format!("{}:{}", self.0.join("bin").display(), env::var("PATH").unwrap());
        command.arg("bench").args(arguments).env("PATH", path).env("PLACE", &self.0);
        command.env("CARGO_TARGET_DIR", self.0.join("target"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Waits until a script says that it hangs, and returns the process that it waits for.
    fn hanging(&self) -> i32 {
        let began = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(self.0.join("hangs")) {
                return text.trim().parse().unwrap();
            }
            assert!(began.elapsed() < PATIENCE, "nothing hangs");
            thread::yield_now();
        }
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("target/bench").join(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A sleep stands for work without end: it is killed, and nothing waits for it.
const HANG: &str = r#"sleep 1000 & echo $! > "$PLACE/hangs.new"; mv "$PLACE/hangs.new" "$PLACE/hangs"; wait"#;

const CARGO: &str = r#"
for name in standpipe standpipe-bench standpipe-hot micro; do
    echo "{\"target\":{\"name\":\"$name\"},\"executable\":\"$PLACE/bin/$name\"}"
done"#;

const BENCH: &str = r#"
if [ "$1" = list ]; then
    one() { echo "{\"name\":\"$1.$2\",\"group\":\"$1\",\"measures\":\"\",\"quick\":true,\"revision\":1,\"driver\":\"scenario\"}"; }
    echo "{\"workloads\":[$(one good a),$(one good b),$(one bad a),$(one endless a)],\"reserved\":[],\"keys\":[[\"wal.size\",\"a size\"]]}"
    exit
fi
touch "$4/left-by-$2"
case $2 in
    bad.*) echo "$2: wrong result: rows: 1, expected 2" >&2; exit 1 ;;
    endless.*) sleep 1000 & echo $! > "$PLACE/hangs.new"; mv "$PLACE/hangs.new" "$PLACE/hangs"; wait ;;
esac
echo '{"figures":[{"name":"throughput","value":1000.0,"unit":"rows/s","kind":"throughput","better":"higher"}],"settings_unused":["wal.size"]}'"#;

fn interrupt(child: &Child) {
    let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(process, Signal::INT).unwrap();
}

/// Waits for the end, though not for ever.
fn ended(mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it goes on after Ctrl-C");
        }
        thread::yield_now();
    }
    child.wait_with_output().unwrap()
}

/// Whether it runs; one that has ended and that nobody has asked for yet does not.
fn runs(process: i32) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"));
    status.is_ok_and(|text| !text.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

fn assert_gone(process: i32) {
    let began = Instant::now();
    while runs(process) {
        assert!(began.elapsed() < PATIENCE, "process {process} was left");
        thread::yield_now();
    }
}

fn told(output: &Output) -> String {
    let Output { stdout, stderr, .. } = output;
    format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
}

#[test]
fn ctrl_c_while_measuring_leaves_nothing() {
    let place = Place::new("measuring");
    let child = place.bench(&["run", "--group", "good", "--group", "endless"]).spawn().unwrap();
    let process = place.hanging();
    assert!(runs(process));
    interrupt(&child);
    let output = ended(child);
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    assert_gone(process);
    assert!(place.files("scratch").is_empty(), "{:?}", place.files("scratch"));
    assert!(place.files("programs").is_empty(), "{:?}", place.files("programs"));
    assert!(place.files("runs").is_empty(), "half a run is not kept");
}

#[test]
fn ctrl_c_while_building_leaves_nothing() {
    let place = Place::new("building");
    place.script("cargo", HANG);
    let child = place.bench(&["baseline", "main"]).spawn().unwrap();
    let process = place.hanging();
    interrupt(&child);
    let output = ended(child);
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    assert_gone(process);
    assert!(place.files("scratch").is_empty() && place.files("baselines").is_empty());
}

#[test]
fn one_that_fails_is_named_and_the_others_are_kept() {
    let place = Place::new("failing");
    let output = place.bench(&["run", "--group", "good", "--group", "bad"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let text = told(&output);
    assert!(text.contains("1 workload failed:\n  bad.a: wrong result"), "{text}");
    assert!(text.contains("good.b") && place.files("runs").len() == 1, "{text}");
    let output = place.bench(&["baseline", "main", "--group", "good", "--group", "bad"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(place.files("baselines").is_empty(), "half a baseline is not kept");
}

#[test]
fn a_baseline_is_held_against_the_same_and_against_a_slower_one() {
    let place = Place::new("baseline");
    let code = |arguments: &[&str]| {
        let output = place.bench(arguments).output().unwrap();
        (output.status.code(), told(&output))
    };
    assert_eq!(code(&["baseline", "main", "--group", "good", "--rounds", "5"]).0, Some(0));
    assert!(code(&["baseline", "--list"]).1.contains("main"));
    let (same, text) = code(&["compare", "main"]);
    assert_eq!(same, Some(0), "{text}");
    assert!(text.contains("FINE: 2 figures compared"), "{text}");
    place.script("standpipe-bench", &BENCH.replace("1000.0", "800.0"));
    let (slower, text) = code(&["compare", "main", "--group", "good.b"]);
    assert_eq!(slower, Some(1), "{text}");
    assert!(text.contains("REGRESSION") && text.contains("-20.0%") && text.contains(": good.b."), "{text}");
    assert_eq!(code(&["compare", "main", "--throughput-drop", "25"]).0, Some(0));
    let (unknown, text) = code(&["compare", "other"]);
    assert_eq!(unknown, Some(2));
    assert!(text.contains("there are: main"), "{text}");
}

#[test]
fn settings_that_would_change_nothing_are_refused() {
    let place = Place::new("settings");
    let refused = |setting: &str| {
        let output = place.bench(&["run", "--group", "good", "--set", setting]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        told(&output)
    };
    assert!(refused("wal.size=1").contains("none of the selected workloads looks at it"));
    assert!(refused("wal.sise=1").contains("There are:\n  wal.size"));
    assert!(place.files("runs").is_empty());
}

#[test]
fn without_a_terminal_bench_alone_prints_its_help() {
    let place = Place::new("help");
    let output = place.bench(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(told(&output).contains("Usage: cargo xtask bench <COMMAND>"));
}

#[test]
fn clean_keeps_the_newest_and_the_baselines() {
    let place = Place::new("clean");
    for (folder, names) in [
        ("runs", &["20260101-000000-a.json", "20260102-000000-b.json", "20260103-000000-c.json"][..]),
        ("baselines", &["main.json"]),
        ("ab", &["base", "lock"]),
    ] {
        let folder = place.0.join("target/bench").join(folder);
        fs::create_dir_all(&folder).unwrap();
        for name in names {
            fs::write(folder.join(name), "12345").unwrap();
        }
    }
    let output = place.bench(&["clean", "--keep", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("15 B, 3 paths removed"), "{}", told(&output));
    assert_eq!(place.files("runs"), ["20260103-000000-c.json"]);
    assert_eq!(place.files("baselines"), ["main.json"]);
    assert_eq!(place.files("ab"), ["lock"]);
}
