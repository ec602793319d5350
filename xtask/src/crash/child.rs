use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{named, source::Source};

/// One load, run again and again until it completes.
pub(crate) struct Load {
    binary: PathBuf,
    dir: PathBuf,
    input: PathBuf,
    stdin: bool,
}

/// How one run ended.
#[derive(PartialEq, Eq)]
pub(crate) enum Ended {
    Killed,
    Completed,
}

impl Load {
    pub(crate) fn new(binary: &Path, dir: &Path, input: &Path, stdin: bool) -> Result<Self, String> {
        fs::create_dir_all(dir).map_err(named(dir))?;
        Ok(Load { binary: binary.to_owned(), dir: dir.to_owned(), input: input.to_owned(), stdin })
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join("flights.db")
    }

    pub(crate) fn remove(&self) -> Result<(), String> {
        fs::remove_dir_all(&self.dir).map_err(named(&self.dir))
    }

    /// Starts the command, kills it after `moment` if one is given, and tells how it ended.
    pub(crate) fn run(&self, source: &Source, moment: Option<Duration>) -> Result<Ended, String> {
        let mut command = Command::new(&self.binary);
        command.arg("load").arg(if self.stdin { Path::new("-") } else { &self.input });
        command.arg("--to").arg(format!("sqlite:{}", self.database().display()));
        command.args(["--table", "flights", "--create", "--progress", "none", "--batch-rows", "10000"]);
        if self.stdin {
            command.arg("--wal").arg(self.dir.join("log"));
        }
        command.stdin(if self.stdin { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", self.binary.display()))?;
        let said = listen(&mut child);
        let deadline = moment.map(|moment| Instant::now() + moment);
        thread::scope(|scope| {
            if let Some(mut pipe) = child.stdin.take() {
                let said = &said;
                scope.spawn(move || {
                    // A pipe that breaks is the kill.
                    let _ = feed(&mut pipe, source, said.acknowledged());
                });
            }
            let ended = wait(&mut child, deadline);
            // Frees the feeder, which may still wait for a number that will not come.
            said.end();
            ended
        })
        .and_then(|ended| match ended {
            Some(0) => Ok(Ended::Completed),
            None => Ok(Ended::Killed),
            Some(code) => Err(format!("a run ended with exit code {code}: {}", said.text())),
        })
    }
}

/// Feeds the header and all records from the given one on.
pub(super) fn feed(pipe: &mut impl Write, source: &Source, from: Option<u64>) -> std::io::Result<()> {
    let Some(from) = from else { return Ok(()) };
    let mut pipe = std::io::BufWriter::with_capacity(64 << 10, pipe);
    writeln!(pipe, "{}", source.header)?;
    for record in source.records.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        writeln!(pipe, "{record}")?;
    }
    pipe.flush()
}

/// The exit code, or `None` when it was killed at the deadline.
fn wait(child: &mut Child, deadline: Option<Instant>) -> Result<Option<i32>, String> {
    let failed = |error: std::io::Error| error.to_string();
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return status.code().map(Some).ok_or_else(|| format!("a run ended by itself with {status}"));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            child.kill().map_err(failed)?;
            let status = child.wait().map_err(failed)?;
            // It may have ended by itself in between.
            return Ok(status.code());
        }
        thread::park_timeout(Duration::from_micros(500));
    }
}

/// What the child says on its two outputs.
pub(super) struct Said {
    acknowledged: std::sync::Mutex<mpsc::Receiver<u64>>,
    number: std::sync::Mutex<Option<mpsc::Sender<u64>>>,
    lines: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Said {
    /// The number of records that an interrupted run left acknowledged; `None` when the child ended before it said so.
    pub(super) fn acknowledged(&self) -> Option<u64> {
        self.acknowledged.lock().ok()?.recv().ok()
    }

    pub(super) fn end(&self) {
        if let Ok(mut number) = self.number.lock() {
            number.take();
        }
    }

    pub(super) fn text(&self) -> String {
        self.lines.lock().map(|lines| lines.join("\n")).unwrap_or_default()
    }
}

/// Reads both outputs to their ends, so that the child never waits for us.
pub(super) fn listen(child: &mut Child) -> Said {
    let (number, acknowledged) = mpsc::channel();
    let lines = std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default();
    if let Some(errors) = child.stderr.take() {
        let (lines, number) = (lines.clone(), number.clone());
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                if let Some(count) = taken_before(&line) {
                    let _ = number.send(count);
                }
                if let Ok(mut lines) = lines.lock() {
                    lines.push(line);
                }
            }
        });
    }
    if let Some(output) = child.stdout.take() {
        let lines = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(mut lines) = lines.lock() {
                    lines.push(line);
                }
            }
        });
    }
    Said {
        acknowledged: std::sync::Mutex::new(acknowledged),
        number: std::sync::Mutex::new(Some(number)),
        lines,
    }
}

/// The records that need not be fed again. A run that was killed between the end of its input and its own end leaves an
/// input that "has ended": all of it was taken, which only the producer did not hear.
///
/// `standpipe: acknowledged: N records, B bytes of ...`, and perhaps `; the one before has ended (N records, B bytes)`.
fn taken_before(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("standpipe: acknowledged: ")?;
    let counted = rest.split_once("has ended (").map_or(rest, |(_, ended)| ended);
    counted.split(' ').next()?.parse().ok()
}
