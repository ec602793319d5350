//! Runs the real command in a directory of its own, and looks at what it did.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::{
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, types::FromSql};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a test waits for something that must happen.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A directory with inputs and the database `t.db`.
pub struct Place {
    dir: TempDir,
}

/// How a run ended, and what it said.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    args: Vec<String>,
}

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_standpipe"))
}

/// A file of the sample data that comes with the repository.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data").join(name).canonicalize().unwrap()
}

impl Place {
    pub fn new() -> Self {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path
    }

    pub fn append(&self, name: &str, contents: impl AsRef<[u8]>) {
        let mut file = fs::OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(contents.as_ref()).unwrap();
    }

    /// The command in this directory, with its state in it too.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).current_dir(self.dir.path()).env("XDG_STATE_HOME", self.path("state"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(args, self.command(args).output().unwrap())
    }

    /// `standpipe load` with these arguments (apart at blanks) into `t.db`, without progress.
    pub fn load(&self, args: &str) -> Ran {
        self.run(&load_args(args))
    }

    /// The same with this standard input.
    pub fn load_piped(&self, args: &str, input: impl AsRef<[u8]>) -> Ran {
        let args = load_args(args);
        let mut child = self.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let input = input.as_ref();
        thread::scope(|scope| {
            // The command may end without having read all.
            scope.spawn(move || pipe.write_all(input));
            Ran::of(&args, child.wait_with_output().unwrap())
        })
    }

    /// `load` in the background, its standard input open.
    pub fn start(&self, args: &str) -> Running {
        let args = load_args(args);
        Running::of(self.command(&args).stdin(Stdio::piped()).spawn().unwrap(), &args)
    }

    pub fn database(&self) -> Connection {
        let database = Connection::open(self.path("t.db")).unwrap();
        database.busy_timeout(DEADLINE).unwrap();
        database
    }

    pub fn sql(&self, sql: &str) {
        self.database().execute_batch(sql).unwrap();
    }

    /// The single value of a query.
    pub fn value<T: FromSql>(&self, sql: &str) -> T {
        self.database().query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub fn count(&self, table: &str) -> i64 {
        self.value(&format!("select count(*) from \"{table}\""))
    }

    /// Every row of a query as text.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let database = self.database();
        let mut statement = database.prepare(sql).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let cells = (0..columns).map(|index| match row.get_ref(index).unwrap() {
                rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Real(number) => number.to_string(),
                rusqlite::types::ValueRef::Text(text) | rusqlite::types::ValueRef::Blob(text) => {
                    String::from_utf8_lossy(text).into_owned()
                }
            });
            Ok(cells.collect::<Vec<_>>().join("|"))
        };
        statement.query_map([], row).unwrap().map(Result::unwrap).collect()
    }

    /// The same directory for a user who may not do everything: the command, to be run without the rights of root
    /// if this test has them.
    pub fn unprivileged(&self, args: &[&str]) -> Command {
        const NOBODY: u32 = 65534;
        if !rustix::process::geteuid().is_root() {
            return self.command(args);
        }
        let copy = self.path("standpipe-copy");
        if !copy.exists() {
            // By another process: a copy that this one has open for writing may be inherited by what another test
            // starts at that moment, and then cannot be run.
            let copied = Command::new("cp").arg(binary()).arg(&copy).status().unwrap();
            assert!(copied.success());
        }
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new(copy);
        command.args(args).current_dir(self.dir.path()).env("XDG_STATE_HOME", self.path("state"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.uid(NOBODY).gid(NOBODY);
        command
    }
}

pub fn load_args(args: &str) -> Vec<&str> {
    let mut all = vec!["load"];
    all.extend(args.split_whitespace());
    for (name, value) in [("--to", "sqlite:t.db"), ("--progress", "none")] {
        if !all.contains(&name) {
            all.extend([name, value]);
        }
    }
    all
}

pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

impl Ran {
    pub fn of(args: &[&str], output: Output) -> Self {
        Ran {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.told());
        self
    }

    /// Asserts that standard output or standard error has this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.out.contains(text) || self.err.contains(text), "{text:?} is not in {}", self.told());
        self
    }

    #[track_caller]
    pub fn never_says(&self, text: &str) -> &Self {
        assert!(!self.out.contains(text) && !self.err.contains(text), "{text:?} is in {}", self.told());
        self
    }

    /// Prints a row of the table of bad inputs; shown with --nocapture.
    pub fn report(&self, case: &str) -> &Self {
        let complaint = self.err.lines().filter(|line| !line.is_empty() && !line.contains("acknowledged:"));
        let faults = self.out.lines().filter_map(|line| line.strip_prefix("  "));
        let mut said: Vec<&str> =
            complaint.chain(faults).map(|line| line.trim_start_matches("standpipe: ")).collect();
        if said.is_empty() {
            said.extend(self.out.lines().take(1));
        }
        let mut said = said.join("<br>").replace('|', "\\|");
        // The places of this test say nothing to a reader.
        while let Some(at) = said.find("/tmp/.tmp") {
            let end = said[at + 5..].find('/').map_or(said.len(), |length| at + 5 + length + 1);
            said.replace_range(at..end, "");
        }
        println!(
            "\n| {case} | {said} | {} |",
            self.code.map_or("killed".to_owned(), |code| code.to_string())
        );
        self
    }

    pub fn told(&self) -> String {
        format!(
            "{}\nexit {:?}\n--- stdout\n{}--- stderr\n{}",
            self.args.join(" "),
            self.code,
            self.out,
            self.err
        )
    }
}

/// A run in the background. Killed when a test lets go of it.
pub struct Running {
    pub child: Child,
    args: Vec<String>,
}

impl Running {
    pub fn of(child: Child, args: &[&str]) -> Self {
        Running { child, args: args.iter().map(|arg| (*arg).to_owned()).collect() }
    }

    pub fn feed(&mut self, input: impl AsRef<[u8]>) {
        let pipe = self.child.stdin.as_mut().unwrap();
        pipe.write_all(input.as_ref()).unwrap();
        pipe.flush().unwrap();
    }

    pub fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends, without closing its standard input.
    pub fn wait(mut self) -> Ran {
        let stdin = self.child.stdin.take();
        // Both are small: nothing here fills a pipe before the end.
        until("the command has ended", || self.child.try_wait().unwrap().is_some());
        drop(stdin);
        let mut output =
            Output { status: self.child.wait().unwrap(), stdout: Vec::new(), stderr: Vec::new() };
        // A test may have taken one of them to read it along.
        if let Some(stdout) = &mut self.child.stdout {
            std::io::Read::read_to_end(stdout, &mut output.stdout).unwrap();
        }
        if let Some(stderr) = &mut self.child.stderr {
            std::io::Read::read_to_end(stderr, &mut output.stderr).unwrap();
        }
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        Ran::of(&args, output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until something is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for {DEADLINE:?} until {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// The value that must be there at some time.
#[track_caller]
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    until(what, || {
        found = look();
        found.is_some()
    });
    found.unwrap()
}
