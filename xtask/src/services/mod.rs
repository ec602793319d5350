//! Throw-away servers for tests: `cargo xtask services`.
//!
//! Each server has a [`home`], a directory that is locked by whoever runs it and removed when it ends. Processes are known by the
//! directory that they work in ([`process`]), so that what a killed run left is found and ended by the next one.

mod account;
mod certificate;
mod find;
mod home;
mod install;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod root;
mod servers;
mod shared_memory;
#[cfg(test)]
mod tests;
mod unavailable;

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};

use crate::{Outcome, interrupt};
use account::Account;
use servers::DEVELOPER;

pub(crate) use root::remark;
pub(crate) use servers::Servers;
pub(crate) use unavailable::Unavailable;
#[allow(unused_imports, reason = "for whoever starts a server of its own, to kill it")]
pub(crate) use {
    pgbouncer::PgBouncer,
    postgres::{Options, Postgres},
};

/// The arguments of `services`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServicesArgs {
    #[command(subcommand)]
    command: Services,
}

const EXAMPLES: &str = "\
Examples:
  eval \"$(cargo xtask services env)\"    servers that stay, and their variables in this shell
  cargo xtask services run -- cargo test -p xtask
                                        servers for one command
  cargo xtask services run -- sh -c 'psql \"$STANDPIPE_TEST_POSTGRES\"'
  cargo xtask services stop             ends what `env` started, and what a killed run left

Variables for tests:
  STANDPIPE_TEST_POSTGRES      the superuser's URL, with its password; TLS on and optional
  STANDPIPE_TEST_POSTGRES_CA   the certificate of who signed the server's
  STANDPIPE_TEST_PGBOUNCER     the same server through PgBouncer in transaction mode

Data lies in target/services. Servers refuse root: root's run as `postgres` or `nobody`, and where
that account can't reach target, in the temporary directory. STANDPIPE_SERVICES_DIR names another
place. What is not installed is installed with apt-get where we are root or have sudo without a
password; STANDPIPE_SERVICES_INSTALL=no forbids it.";

#[derive(Subcommand)]
enum Services {
    /// Start the servers, print their variables, and stop them at Ctrl-C
    Start,
    /// Start the servers, run a command with their variables, stop them; ends with the command's exit code
    Run {
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// What runs, and what a killed run left
    Status,
    /// Stop what `env` started, and what a killed run left
    Stop,
    /// Print the variables as `export` lines for a shell; starts servers that stay, where none run
    Env,
}

pub(crate) fn run(args: ServicesArgs) -> Result<ExitCode, String> {
    interrupt::watch()?;
    let done = |()| ExitCode::SUCCESS;
    match args.command {
        Services::Start => start().map(done),
        Services::Run { command } => run_command(&command),
        Services::Status => status().map(done),
        Services::Stop => stop().map(done),
        Services::Env => env().map(done),
    }
}

fn start() -> Outcome {
    let servers = Servers::start_of_developer()?;
    let Some(mut servers) = servers else {
        return Err("they run already: see `cargo xtask services status`".to_owned());
    };
    said(&servers);
    print_exports(&servers.variables());
    eprintln!("services: running; Ctrl-C stops them");
    let watched = loop {
        if let Err(why) = servers.check() {
            break Err(why.into());
        }
        if interrupt::pause(Duration::from_millis(200)).is_err() {
            break Ok(());
        }
    };
    servers.stop()?;
    eprintln!("services: stopped");
    watched
}

fn run_command(command: &[OsString]) -> Result<ExitCode, String> {
    let (program, arguments) = command.split_first().ok_or("no command is given")?;
    let servers = Servers::start("run")?;
    said(&servers);
    let status = interrupt::guest(Command::new(program).args(arguments).envs(servers.variables()));
    servers.stop()?;
    let status = status?;
    // As shells say it.
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// How long `env` waits for what stands before a server that runs.
const LAST_ONE: Duration = Duration::from_secs(2);

fn env() -> Outcome {
    let began = Instant::now();
    loop {
        let found = of_developer()?;
        // Whoever starts them just now has perhaps not come to the last one.
        let is_whole = found.iter().any(|(name, _)| name == servers::PGBOUNCER);
        if is_whole || !found.is_empty() && began.elapsed() > LAST_ONE {
            print_exports(&found);
            return Ok(());
        }
        if let Some(servers) = Servers::start_of_developer()? {
            said(&servers);
            let variables = servers.variables();
            servers.leave()?;
            eprintln!("services: started, and they stay until `cargo xtask services stop`");
            print_exports(&variables);
            return Ok(());
        }
        // Somebody else starts them just now.
        if began.elapsed() > Duration::from_secs(300) {
            return Err("somebody starts them, and does not come to an end".to_owned());
        }
        interrupt::pause(Duration::from_millis(50))?;
    }
}

fn status() -> Outcome {
    let root = place()?;
    println!("{}", root.display());
    let all = home::all(&root);
    for seen in &all {
        let name = seen.path.file_name().unwrap_or_default().to_string_lossy();
        let state = match (&seen.record, &seen.home, seen.processes.len()) {
            (_, None, _) => "held by a command that runs".to_owned(),
            (Some(record), _, count) if record.stays && count > 0 => format!("runs, {count} processes"),
            (_, _, count) => format!("left over, {count} processes"),
        };
        let server = seen.record.as_ref().map_or("not ready", |record| &record.server);
        println!("{name:<24} {server:<20} {state}");
    }
    if all.is_empty() {
        println!("nothing runs");
    }
    Ok(())
}

fn stop() -> Outcome {
    let root = place()?;
    let mut all = home::all(&root);
    // What stands before a server has a longer name, and goes first.
    all.reverse();
    let mut kept = Vec::new();
    home::end_orphans(&root);
    for seen in all {
        match seen.home {
            Some(home) => {
                home.remove(Duration::from_secs(30))?;
                eprintln!("services: stopped {}", seen.path.display());
            }
            None => {
                kept.push(format!("{} is held by a command that runs: end that one", seen.path.display()))
            }
        }
    }
    if kept.is_empty() { Ok(()) } else { Err(kept.join("; ")) }
}

/// The variables of what a developer runs, whoever holds it.
fn of_developer() -> Result<Vec<(String, String)>, String> {
    let root = place()?;
    let mut found = Vec::new();
    for name in [DEVELOPER.to_owned(), format!("{DEVELOPER}-pgbouncer")] {
        let path = root.join(name);
        let record = home::recorded(&path).filter(|_| !process::working_in(&path).is_empty());
        match record {
            Some(record) => found.extend(servers::variables_of(&path, &record)),
            // The one behind is a must.
            None if found.is_empty() => return Ok(found),
            None => {}
        }
    }
    Ok(found)
}

fn place() -> Result<PathBuf, String> {
    Ok(root::find(&Account::of_servers()?)?)
}

/// What whoever waits for the servers should know of them.
fn said(servers: &Servers) {
    eprintln!("services: data in {}{}", servers.place().display(), remark(servers.place()));
    for why in servers.missing() {
        eprintln!("services: WITHOUT one: {why}");
    }
}

fn print_exports(variables: &[(String, String)]) {
    for (name, value) in variables {
        println!("export {name}={}", quoted(value));
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
