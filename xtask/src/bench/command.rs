use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use crate::data;

/// How the command gets its rows.
#[derive(Clone, Copy)]
pub(crate) enum Feed {
    File,
    Stdin,
}

/// One load and what it took.
pub(crate) struct Run {
    pub(crate) seconds: f64,
    pub(crate) rows: u64,
    /// The most memory that was resident, in MiB.
    pub(crate) peak_mib: f64,
}

impl Run {
    /// The whole command, from start to exit, into a new database; the rows in the table are counted.
    pub(crate) fn load(input: &Path, scratch: &Path, feed: Feed, more: &[&str]) -> Result<Self, String> {
        let dir = scratch.join("run");
        renew(&dir)?;
        let database = dir.join("flights.db");
        let mut command = Command::new(data::target_dir().join("release/standpipe"));
        command.arg("load");
        match feed {
            Feed::File => command.arg(input).stdin(Stdio::null()),
            Feed::Stdin => {
                let file = File::open(input).map_err(|error| format!("{}: {error}", input.display()))?;
                command.args(["-", "--wal"]).arg(dir.join("log")).stdin(file)
            }
        };
        command.arg("--to").arg(format!("sqlite:{}", database.display()));
        command.args(["--table", "flights", "--create", "--progress", "none"]).args(more);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("standpipe: {error}"))?;
        let mut peak_kib = 0;
        let status = loop {
            peak_kib = resident_peak_kib(child.id()).unwrap_or(peak_kib);
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                break status;
            }
            thread::park_timeout(Duration::from_millis(1));
        };
        let seconds = began.elapsed().as_secs_f64();
        if !status.success() {
            return Err(format!("standpipe load ended with {status}"));
        }
        Ok(Run { seconds, rows: count(&database)?, peak_mib: peak_kib as f64 / 1024.0 })
    }

    /// Python's sqlite3 with rows that are parsed already; it times itself.
    pub(crate) fn python(input: &Path, scratch: &Path) -> Result<Self, String> {
        let dir = scratch.join("run");
        renew(&dir)?;
        let output = Command::new("python3")
            .arg(data::root().join("benches/python/executemany.py"))
            .arg(input)
            .arg(dir.join("flights.db"))
            .output()
            .map_err(|error| format!("python3: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut words = text.split_whitespace();
        let seconds = words.next().and_then(|word| word.parse().ok());
        let rows = words.next().and_then(|word| word.parse().ok());
        match (seconds, rows) {
            (Some(seconds), Some(rows)) => Ok(Run { seconds, rows, peak_mib: 0.0 }),
            _ => Err(format!("python3: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }
}

/// Records a second of one async writer and of 64, each waiting until its record is durable.
pub(crate) fn group_commit(scratch: &Path) -> Result<[f64; 2], String> {
    let dir = scratch.join("log");
    renew(&dir)?;
    let output = Command::new(data::target_dir().join("release/examples/group_commit"))
        .arg(&dir)
        .arg("1")
        .output()
        .map_err(|error| format!("group_commit: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // "current_thread: 1 async writer 8000, 8 40000, 64 200000, ratio 25.0"
    let line = text.lines().find(|line| line.starts_with("current_thread:"));
    let numbers: Vec<f64> = line
        .into_iter()
        .flat_map(|line| line.split([' ', ',']))
        .filter_map(|word| word.parse().ok())
        .collect();
    match numbers[..] {
        [1.0, one, 8.0, _, 64.0, many, ..] => Ok([one, many]),
        _ => {
            Err(format!("group_commit printed no rates:\n{text}{}", String::from_utf8_lossy(&output.stderr)))
        }
    }
}

fn renew(dir: &Path) -> Result<(), String> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))
}

fn count(database: &Path) -> Result<u64, String> {
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|connection| {
            connection.query_row("SELECT count(*) FROM flights", [], |row| row.get::<_, i64>(0))
        })
        .map(i64::unsigned_abs)
        .map_err(|error| format!("{}: {error}", database.display()))
}

/// The kernel's own high-water mark; it only rises, so the last reading before the end is all but the peak.
fn resident_peak_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
