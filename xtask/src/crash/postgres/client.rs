use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    crash::{
        child::{Said, feed, listen},
        source::Source,
    },
    interrupt,
};

/// How often is looked.
const LOOK: Duration = Duration::from_micros(300);
/// How long one run may take, servers that come and go included.
const RUN_MAX: Duration = Duration::from_secs(150);

/// A command that is run again and again until it completes.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) binary: PathBuf,
    pub(super) input: PathBuf,
    pub(super) source: Arc<Source>,
    pub(super) table: String,
    /// Through standard input, and the log in this directory.
    pub(super) log: Option<PathBuf>,
    /// By this key, in lanes and with two workers.
    pub(super) lanes: Option<(u32, String)>,
    pub(super) more: Vec<String>,
    pub(super) password: String,
    pub(super) user: String,
}

/// One run of it. Dropping it kills it.
pub(super) struct Running {
    child: Child,
    said: Arc<Said>,
    feeder: Option<JoinHandle<()>>,
    began: Instant,
}

impl Load {
    /// Starts the command against the server on this port. TLS where the server has it, which the proxy has not.
    pub(super) fn start(&self, port: u16) -> Result<Running, String> {
        let mut command = Command::new(&self.binary);
        let input = if self.log.is_some() { Path::new("-") } else { &self.input };
        command.arg("load").arg(input);
        command.arg("--to").arg(format!("postgres://{}@127.0.0.1:{port}/postgres", self.user));
        command.args(["--table", &self.table, "--progress", "none", "--batch-rows", "10000"]);
        if let Some(log) = &self.log {
            command.arg("--wal").arg(log);
        }
        if let Some((lanes, key)) = &self.lanes {
            command.args(["--lanes", &lanes.to_string(), "--key", key, "--workers", "2"]);
        }
        command.args(&self.more);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.env("PGPASSWORD", &self.password).env("STANDPIPE_LOG", "warn");
        command.stdin(if self.log.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", self.binary.display()))?;
        let said = Arc::new(listen(&mut child));
        let feeder = child.stdin.take().map(|mut pipe| {
            let (said, source) = (Arc::clone(&said), Arc::clone(&self.source));
            // A pipe that breaks is the kill.
            thread::spawn(move || drop(feed(&mut pipe, &source, said.acknowledged())))
        });
        Ok(Running { child, said, feeder, began })
    }
}

impl Running {
    /// The exit code, once it has ended by itself.
    pub(super) fn ended(&mut self) -> Result<Option<i32>, String> {
        let status = self.child.try_wait().map_err(|error| error.to_string())?;
        let Some(status) = status else { return Ok(None) };
        status.code().map(Some).ok_or_else(|| format!("a run ended with {status}: {}", self.text()))
    }

    /// Waits until `is_so`; `false` when the run has ended before.
    pub(super) fn until(&mut self, mut is_so: impl FnMut(&Running) -> bool) -> Result<bool, String> {
        loop {
            if is_so(self) {
                return Ok(true);
            }
            if self.ended()?.is_some() {
                return Ok(false);
            }
            self.check_time()?;
            interrupt::check()?;
            thread::park_timeout(LOOK);
        }
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) -> Result<i32, String> {
        self.until(|_| false)?;
        self.join();
        self.ended()?.ok_or_else(|| "a run that ended has no exit code".to_owned())
    }

    /// Waits for the end of a run that must complete.
    pub(super) fn complete(&mut self) -> Result<(), String> {
        match self.wait()? {
            0 => Ok(()),
            code => Err(format!("a run ended with exit code {code}: {}", self.text())),
        }
    }

    pub(super) fn runs_for(&self) -> Duration {
        self.began.elapsed()
    }

    /// SIGKILL; the exit code where it was faster.
    pub(super) fn kill(&mut self) -> Result<Option<i32>, String> {
        let failed = |error: std::io::Error| error.to_string();
        self.child.kill().map_err(failed)?;
        let status = self.child.wait().map_err(failed)?;
        self.join();
        Ok(status.code())
    }

    pub(super) fn pause(&self) -> Result<(), String> {
        self.signal(Signal::STOP)
    }

    pub(super) fn resume(&self) -> Result<(), String> {
        self.signal(Signal::CONT)
    }

    /// What it has said so far.
    pub(super) fn text(&self) -> String {
        self.said.text()
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("no process")?;
        kill_process(pid, signal).map_err(|error| format!("{signal:?}: {error}"))
    }

    fn check_time(&self) -> Result<(), String> {
        if self.began.elapsed() < RUN_MAX {
            return Ok(());
        }
        Err(format!("a run takes longer than {} s: {}", RUN_MAX.as_secs(), self.text()))
    }

    fn join(&mut self) {
        // The feeder may wait for a number that will not come.
        self.said.end();
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has perhaps ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join();
    }
}
