use std::{
    fs::{self, File},
    io::Write,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

use super::{
    Unavailable,
    account::Account,
    certificate::Certificate,
    find,
    home::{CA, DATA, Home, Record, postmaster},
    install, port, process, root, shared_memory,
};
use crate::interrupt;

/// A PostgreSQL of our own on a free port of the loopback interface: TLS on and optional, scram-sha-256, two-phase commit, its data in
/// a directory that goes when it goes. Dropping it stops it.
pub(crate) struct Postgres {
    home: Home,
    account: Account,
    programs: PathBuf,
    port: u16,
    password: String,
    child: Option<Child>,
    stays: bool,
}

/// How to start one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options<'a> {
    /// Names its directory. When one of that name runs, a number is added.
    pub(crate) name: &'a str,
    /// Lines of `postgresql.conf`, over ours.
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

/// What each has unless the options say otherwise. Shared memory in files: a server that is killed and never started again leaves
/// nothing of it outside of its directory, but for one small segment.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("max_connections", "200"),
    ("max_prepared_transactions", "64"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("password_encryption", "scram-sha-256"),
    ("dynamic_shared_memory_type", "mmap"),
    ("log_line_prefix", "%m [%p] %d "),
    ("ssl", "on"),
    ("ssl_cert_file", "server.crt"),
    ("ssl_key_file", "server.key"),
];

const ACCESS: &str = "\
local all         all              scram-sha-256
host  all         all 127.0.0.1/32 scram-sha-256
host  replication all 127.0.0.1/32 scram-sha-256
";

pub(super) const USER: &str = "standpipe";

/// How long a start may take. One that recovers reads its whole log first.
const START: Duration = Duration::from_secs(180);
/// How long a stop may take before it is forced.
const STOP: Duration = Duration::from_secs(30);
/// How often another port is tried when somebody was faster.
const PORTS: u32 = 5;
/// A socket's path fits into this many bytes, with its name.
const SOCKET_PATH_MAX: usize = 85;

#[allow(dead_code, reason = "part of what a server that is killed needs around it")]
impl Postgres {
    /// Starts one, installing PostgreSQL first where it is not there and we may. Blocks until it takes connections.
    pub(crate) fn start(options: &Options<'_>) -> Result<Self, Unavailable> {
        let account = Account::of_servers()?;
        let home = Home::claim_like(&root::find(&account)?, options.name)?;
        Postgres::start_in(home, account, options)
    }

    pub(super) fn start_in(home: Home, account: Account, options: &Options<'_>) -> Result<Self, Unavailable> {
        let programs = match find::postgres(&account) {
            Some(programs) => programs,
            None => {
                install::package("postgresql")?;
                let found = find::postgres(&account);
                found.ok_or_else(|| {
                    Unavailable::new("postgresql is installed, and its programs are not found")
                })?
            }
        };
        let password = port::password()?;
        let mut server = Postgres { home, account, programs, port: 0, password, child: None, stays: false };
        server.make(options)?;
        let mut attempts = 0;
        loop {
            server.port = port::free()?;
            attempts += 1;
            match server.start_again() {
                Err(_) if attempts < PORTS && server.port_was_taken() => {}
                outcome => break outcome?,
            }
        }
        server.home.record(&server.about())?;
        Ok(server)
    }

    /// For the superuser, with the password, to the database `postgres`.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// The certificate (PEM) of who signed the server's, which is for `localhost` and `127.0.0.1`.
    pub(crate) fn ca(&self) -> PathBuf {
        self.home.path().join(CA)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// The data directory, which belongs to the account that the server runs as.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join(DATA)
    }

    /// What the server says, of all its lives.
    pub(crate) fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// Where `psql` and the others are.
    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// The postmaster, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Kills the postmaster with SIGKILL, and waits until its children, who notice, have ended too: what they were about to do may
    /// still happen. The data stays, for `start_again`.
    pub(crate) fn kill(&mut self) -> Result<(), Unavailable> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let data = self.data();
        // One that is paused would not notice.
        let paused = process::working_in(&data);
        child.kill().and_then(|()| child.wait()).map_err(Unavailable::at(&data))?;
        process::signal(&paused, Signal::CONT);
        process::wait_until(Duration::from_secs(10), || process::working_in(&data).is_empty());
        process::kill_all(&data)
    }

    /// Starts it on the data that is there, on the same port, and blocks until it takes connections.
    pub(crate) fn start_again(&mut self) -> Result<(), Unavailable> {
        if self.child.is_some() {
            return Ok(());
        }
        interrupt::check()?;
        let data = self.data();
        let mut log = File::options();
        let log = log.append(true).create(true).open(self.log()).map_err(Unavailable::at(&self.log()))?;
        let errors = log.try_clone().map_err(Unavailable::at(&self.log()))?;
        let mut command = self.account.command(&self.programs.join("postgres"), &data);
        command.arg("-D").arg(&data).arg("-p").arg(self.port.to_string()).arg("-k");
        command.arg(if data.as_os_str().len() > SOCKET_PATH_MAX { Path::new("") } else { &data });
        command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
        self.child = Some(command.spawn().map_err(Unavailable::at(&self.programs))?);
        self.wait_until_ready().inspect_err(|_| drop(self.kill()))
    }

    /// Stops it as an operator does: connections are ended, what is committed is written. The data stays, for `start_again`.
    pub(crate) fn halt(&mut self) -> Result<(), Unavailable> {
        let Some(pid) = self.process() else { return Ok(()) };
        self.resume();
        process::signal(&[pid], Signal::INT);
        let child = &mut self.child;
        let has_ended = process::wait_until(STOP, || {
            child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()))
        });
        if !has_ended {
            return self.kill();
        }
        self.child = None;
        process::kill_all(&self.data())
    }

    /// Stops it for good, and removes all of it. Dropping it does the same, and tells errors on standard error.
    pub(crate) fn stop(mut self) -> Result<(), Unavailable> {
        self.remove()
    }

    /// SIGSTOP: connections stay, and nothing answers.
    pub(crate) fn pause(&self) {
        // The postmaster first, so that no child comes after that.
        process::signal(self.process().as_slice(), Signal::STOP);
        process::signal(&process::working_in(&self.data()), Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        process::signal(&process::working_in(&self.data()), Signal::CONT);
    }

    /// Adds lines to `postgresql.conf`; the next start reads them.
    pub(crate) fn configure(&self, settings: &[(&str, &str)]) -> Result<(), Unavailable> {
        let path = self.data().join("postgresql.conf");
        let line = |(name, value): &(&str, &str)| format!("{name} = '{}'\n", value.replace('\'', "''"));
        let lines: String = settings.iter().map(line).collect();
        let file = File::options().append(true).open(&path);
        file.and_then(|mut file| file.write_all(lines.as_bytes())).map_err(Unavailable::at(&path))
    }

    /// Lets it go on without us, until `cargo xtask services stop`.
    pub(super) fn leave(mut self) -> Result<(), Unavailable> {
        let record = Record { stays: true, ..self.about() };
        self.home.record(&record)?;
        self.stays = true;
        Ok(())
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// An error when it has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Unavailable> {
        let status = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        let Some(status) = status else { return Ok(()) };
        Err(Unavailable::new(format!("PostgreSQL ended with {status}: {}", self.last_words())))
    }

    fn about(&self) -> Record {
        let version = find::version(&self.programs.join("postgres")).unwrap_or_default();
        Record {
            server: format!("PostgreSQL {version}"),
            variable: super::servers::POSTGRES.to_owned(),
            url: self.url(),
            stays: false,
        }
    }

    fn process(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.as_ref()?.id()).ok()?)
    }

    /// The files of a new server.
    fn make(&self, options: &Options<'_>) -> Result<(), Unavailable> {
        let data = self.data();
        fs::create_dir(&data).map_err(Unavailable::at(&data))?;
        self.account.give(&data)?;
        let password = data.with_file_name("password");
        self.put(&password, &self.password)?;
        let mut command = self.account.command(&self.programs.join("initdb"), &data);
        command.arg("-D").arg(&data).arg("--pwfile").arg(&password).args(["--username", USER]);
        // A machine that loses power in these seconds loses nothing that anybody wants.
        command.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        quietly(&mut command)?;
        fs::remove_file(&password).map_err(Unavailable::at(&password))?;
        let certificate = Certificate::new()?;
        self.put(&data.join("server.crt"), &certificate.server)?;
        self.put(&data.join("server.key"), &certificate.key)?;
        self.put(&data.join("pg_hba.conf"), ACCESS)?;
        fs::write(self.ca(), certificate.ca).map_err(Unavailable::at(&self.ca()))?;
        self.configure(SETTINGS)?;
        self.configure(options.settings)
    }

    /// A file that only the server's account reads.
    fn put(&self, path: &Path, text: &str) -> Result<(), Unavailable> {
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(Unavailable::at(path))?;
        self.account.give(path)
    }

    fn wait_until_ready(&mut self) -> Result<(), Unavailable> {
        let began = Instant::now();
        while !self.is_ready() {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                return Err(Unavailable::new(format!(
                    "PostgreSQL ended with {status}: {}",
                    self.last_words()
                )));
            }
            if began.elapsed() > START {
                let limit = START.as_secs();
                return Err(Unavailable::new(format!(
                    "PostgreSQL is not ready after {limit} s: {}",
                    self.last_words()
                )));
            }
            interrupt::pause(Duration::from_millis(5))?;
        }
        Ok(())
    }

    /// Whether the server's own file says so; one that a killed server left names another process.
    fn is_ready(&self) -> bool {
        let data = self.data();
        let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        postmaster(&data) == self.process()
            && text.lines().nth(7).is_some_and(|state| state.trim() == "ready")
    }

    fn port_was_taken(&self) -> bool {
        self.last_words().contains("could not bind")
    }

    fn last_words(&self) -> String {
        last_lines(&self.log())
    }

    fn remove(&mut self) -> Result<(), Unavailable> {
        let halted = self.halt();
        let _ = shared_memory::remove_left(&self.data());
        self.home.remove(Duration::ZERO)?;
        halted
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if !self.stays
            && let Err(why) = self.remove()
        {
            eprintln!("services: {why}");
        }
    }
}

/// Runs a step to its end; what it prints is of interest when it fails.
fn quietly(command: &mut Command) -> Result<(), Unavailable> {
    let output = interrupt::output(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    if output.status.success() {
        return Ok(());
    }
    let name = command.get_program().to_string_lossy().into_owned();
    let words = [output.stdout, output.stderr].concat();
    Err(Unavailable::new(format!("{name}: {}: {}", output.status, String::from_utf8_lossy(&words).trim())))
}

/// The end of a log, for a message.
pub(super) fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
