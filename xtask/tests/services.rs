//! `services` as it is called, and what `test` does with it. Each test keeps its servers apart from those of a developer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Far beyond what a loaded machine needs; only a test that fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(120);

struct Place(PathBuf);

impl Place {
    /// The same for each run of the test, so that a run that was killed is cleaned up after. `None` where there are no servers.
    fn with_servers(name: &str) -> Option<Self> {
        if env::var_os("STANDPIPE_TEST_POSTGRES").is_none() {
            skipped("no STANDPIPE_TEST_POSTGRES");
            return None;
        }
        Some(Place::new(name))
    }

    fn new(name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        env!("CARGO_MANIFEST_DIR").hash(&mut hasher);
        let place = env::temp_dir().join(format!("xtask-services-{name}-{:x}", hasher.finish()));
        let place = Place(place);
        fs::create_dir_all(&place.0).unwrap();
        place.services(&["stop"]);
        place
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).env("STANDPIPE_SERVICES_DIR", self.0.join("servers"));
        command.env("STANDPIPE_SERVICES_INSTALL", "no").env_remove("CI").env_remove("STANDPIPE_TEST_SKIPS");
        for name in ["STANDPIPE_TEST_POSTGRES", "STANDPIPE_TEST_POSTGRES_CA", "STANDPIPE_TEST_PGBOUNCER"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn services(&self, arguments: &[&str]) -> Output {
        self.command(&[&["services"], arguments].concat()).output().unwrap()
    }

    /// Starts `services start`, and waits until it says that the servers run.
    fn started(&self) -> (Child, Servers) {
        let mut child = self.command(&["services", "start"]).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("running") {
            line.clear();
            assert!(errors.read_line(&mut line).unwrap() > 0, "it ended before its servers ran");
        }
        // Somebody must listen to what else it says.
        thread::spawn(move || errors.lines().count());
        (child, self.servers())
    }

    /// What runs now, by PostgreSQL's own file.
    fn servers(&self) -> Servers {
        let homes = fs::read_dir(self.0.join("servers")).unwrap().map(|entry| entry.unwrap().path());
        let mut files = homes.map(|home| home.join("data/postmaster.pid"));
        let file = files.find(|file| file.exists()).expect("no server runs");
        Servers::of(&fs::read_to_string(file).unwrap())
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.0.join("servers")).unwrap().next().is_none()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.services(&["stop"]);
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a PostgreSQL holds of the machine.
struct Servers {
    postmaster: i32,
    segment: (String, String),
}

impl Servers {
    fn of(file: &str) -> Self {
        let lines: Vec<_> = file.lines().collect();
        let (key, id) = lines[6].trim().split_once(char::is_whitespace).unwrap();
        Servers { postmaster: lines[0].parse().unwrap(), segment: (key.trim().into(), id.trim().into()) }
    }

    /// Whether its process lives, and its shared memory is there.
    fn left(&self) -> (bool, bool) {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.postmaster)).unwrap_or_default();
        let lives = stat.contains("(postgres)") && !stat.contains(") Z ");
        let all = fs::read_to_string("/proc/sysvipc/shm").unwrap();
        let mut lines = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        (lives, lines.any(|columns| columns[0] == self.segment.0 && columns[1] == self.segment.1))
    }
}

fn skipped(why: &str) {
    let line = format!("skipped: {why}: run 'cargo xtask test', or 'eval \"$(cargo xtask services env)\"'\n");
    eprint!("{line}");
    if let Some(path) = env::var_os("STANDPIPE_TEST_SKIPS") {
        let mut file = fs::File::options().append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn psql_reaches_both_servers_and_verifies_who_they_are() {
    let Some(place) = Place::with_servers("psql") else { return };
    const SCRIPT: &str = r#"
        verified="sslmode=verify-full&sslrootcert=$STANDPIPE_TEST_POSTGRES_CA"
        psql "$STANDPIPE_TEST_POSTGRES" -XAtc 'select 1' &&
        psql "$STANDPIPE_TEST_POSTGRES?$verified" -XAtc 'select ssl from pg_stat_ssl where pid = pg_backend_pid()' &&
        psql "$(echo "$STANDPIPE_TEST_POSTGRES" | sed s/127.0.0.1/localhost/)?$verified" -XAtc 'select 2' &&
        if [ -z "$STANDPIPE_TEST_PGBOUNCER" ]; then echo no pgbouncer
        else psql "$STANDPIPE_TEST_PGBOUNCER?$verified" -XAtc 'select 3' && psql "$STANDPIPE_TEST_PGBOUNCER" -XAtc 'select 4'
        fi"#;
    let output = place.services(&["run", "--", "sh", "-c", SCRIPT]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    if said == "1\nt\n2\nno pgbouncer\n" {
        return skipped("no STANDPIPE_TEST_PGBOUNCER");
    }
    assert_eq!(said, "1\nt\n2\n3\n4\n");
}

#[test]
fn run_ends_as_the_command_does_and_leaves_nothing() {
    let Some(place) = Place::with_servers("run") else { return };
    let script = r#"cat "$(dirname "$STANDPIPE_TEST_POSTGRES_CA")/data/postmaster.pid"; exit 7"#;
    let output = place.services(&["run", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    assert_eq!(Servers::of(&text(&output.stdout)).left(), (false, false));
    assert!(place.is_empty());
}

#[test]
fn a_signal_reaches_the_command_and_the_servers_stop() {
    let Some(place) = Place::with_servers("signal") else { return };
    let script =
        r#"cat "$(dirname "$STANDPIPE_TEST_POSTGRES_CA")/data/postmaster.pid"; echo; exec sleep 1000"#;
    let mut child = place.command(&["services", "run", "--", "sh", "-c", script]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let file: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let servers = Servers::of(&file.join("\n"));
    assert_eq!(servers.left(), (true, true));
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    assert_eq!(servers.left(), (false, false));
    assert!(place.is_empty());
}

#[test]
fn ctrl_c_ends_start_and_its_servers() {
    let Some(place) = Place::with_servers("start") else { return };
    let (mut child, servers) = place.started();
    assert_eq!(servers.left(), (true, true));
    // What another terminal says of them: they are not its own to stop.
    let status = place.services(&["status"]);
    assert!(text(&status.stdout).contains("held by a command that runs"), "{}", text(&status.stdout));
    assert!(!place.services(&["stop"]).status.success());
    let second = place.services(&["start"]);
    assert!(text(&second.stderr).contains("they run already"), "{}", text(&second.stderr));
    assert_eq!(servers.left(), (true, true));
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(servers.left(), (false, false));
    assert!(place.is_empty());
}

#[test]
fn what_a_killed_run_left_is_cleaned_up_by_the_next() {
    let Some(place) = Place::with_servers("left") else { return };
    let (mut child, servers) = place.started();
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    assert_eq!(servers.left(), (true, true), "a killed run leaves its servers, or this test shows nothing");
    let status = place.services(&["status"]);
    assert!(text(&status.stdout).contains("left over"), "{}", text(&status.stdout));
    let next = place.services(&["run", "--", "true"]);
    assert!(next.status.success(), "{}", text(&next.stderr));
    assert!(text(&next.stderr).contains("ending what a killed run left"), "{}", text(&next.stderr));
    assert_eq!(servers.left(), (false, false));
    assert!(place.is_empty());
}

#[test]
fn a_postmaster_that_was_killed_too_is_cleaned_up_with_its_shared_memory() {
    let Some(place) = Place::with_servers("postmaster") else { return };
    let (mut child, servers) = place.started();
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    kill_process(Pid::from_raw(servers.postmaster).unwrap(), Signal::KILL).unwrap();
    let began = Instant::now();
    while servers.left().0 {
        assert!(began.elapsed() < PATIENCE, "it outlives SIGKILL");
        thread::yield_now();
    }
    assert_eq!(
        servers.left(),
        (false, true),
        "a killed server leaves its segment, or this test shows nothing"
    );
    assert!(place.services(&["stop"]).status.success());
    assert_eq!(servers.left(), (false, false));
    assert!(place.is_empty());
}

#[test]
fn env_starts_servers_that_stay_until_stop() {
    let Some(place) = Place::with_servers("env") else { return };
    let first = place.services(&["env"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(text(&first.stderr).contains("they stay"), "{}", text(&first.stderr));
    let servers = place.servers();
    assert_eq!(servers.left(), (true, true));
    // Another run of anything does not take them for left over.
    assert!(place.services(&["run", "--", "true"]).status.success());
    let second = place.services(&["env"]);
    assert_eq!(text(&second.stdout), text(&first.stdout));
    assert!(second.stderr.is_empty(), "{}", text(&second.stderr));
    let script = format!("{}\npsql \"$STANDPIPE_TEST_POSTGRES\" -XAtc 'select 5'", text(&first.stdout));
    let shell = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(text(&shell.stdout), "5\n", "{}", text(&shell.stderr));
    assert!(place.services(&["stop"]).status.success());
    assert_eq!(servers.left(), (false, false));
    assert!(place.is_empty());
}

#[test]
fn servers_whose_files_were_removed_are_ended() {
    let Some(place) = Place::with_servers("orphan") else { return };
    assert!(place.services(&["env"]).status.success());
    let servers = place.servers();
    fs::remove_dir_all(place.0.join("servers")).unwrap();
    assert!(place.services(&["stop"]).status.success());
    assert_eq!(servers.left(), (false, false));
}

/// A `cargo` that stands for tests: each says that it was skipped, and what it was given.
const CARGO: &str = r#"#!/bin/sh
echo "skipped: nothing to see" >> "$STANDPIPE_TEST_SKIPS"
echo "given: $STANDPIPE_TEST_POSTGRES"
"#;

/// One whose tests come to no end.
const HANGS: &str = "#!/bin/sh\necho \"given: $STANDPIPE_TEST_POSTGRES\"\nsleep 1000\n";

/// `test`, with such a `cargo`.
fn tested(place: &Place, cargo: &str) -> Command {
    fs::create_dir_all(place.0.join("bin")).unwrap();
    let program = place.0.join("bin/cargo");
    fs::write(&program, cargo).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = place.command(&["test", "--only", "features"]);
    let path = format!("{}:{}", place.0.join("bin").display(), env::var("PATH").unwrap());
    command.env_remove("CI").env("PATH", path).env("CARGO_TARGET_DIR", place.0.join("target"));
    command
}

#[test]
fn a_run_counts_the_tests_that_had_no_server_and_fails_in_ci() {
    let place = Place::new("counts");
    // A place that the servers can't reach: there are none then, on any machine.
    let closed = place.0.join("servers");
    fs::create_dir_all(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
    let output = tested(&place, CARGO).output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("== services SKIPPED: STANDPIPE_SERVICES_DIR:"), "{said}");
    let count = said.lines().filter(|line| line.starts_with("given:")).count();
    assert!(
        count > 1 && said.contains(&format!("{count} tests were skipped for want of a server")),
        "{said}"
    );
    assert!(said.contains(&format!("{count} x skipped: nothing to see")), "{said}");
    let output = tested(&place, CARGO).env("CI", "true").output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("failed: services, tests without a server"), "{said}");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_run_gives_its_tests_a_server_and_stops_it() {
    let Some(place) = Place::with_servers("given") else { return };
    let output = tested(&place, CARGO).output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("given: postgres://standpipe:"), "{said}");
    assert!(place.is_empty());
}

#[test]
fn a_run_that_is_interrupted_ends_its_tests_and_its_servers() {
    let Some(place) = Place::with_servers("interrupted") else { return };
    let mut child = tested(&place, HANGS).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("given: postgres://")));
    let servers = place.servers();
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(servers.left(), (false, false));
    assert!(place.is_empty());
    // What hung held this pipe.
    assert_eq!(lines.filter(|line| line.starts_with("given:")).count(), 0);
}
