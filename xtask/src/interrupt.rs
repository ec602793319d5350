//! Ctrl-C, a polite kill, a terminal that is closed: the child that runs is stopped with all that it started, and whoever waited for it is
//! told, so that servers are stopped and scratch directories and worktrees are removed on the way out.

use std::{
    io::{self, IsTerminal},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
};

static WATCHED: AtomicBool = AtomicBool::new(false);
static STOPPED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Option<(Role, Pid)>> = Mutex::new(None);
static WOKEN: Condvar = Condvar::new();

/// What a child is to us when a signal comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A step of ours, killed with all that it started.
    Step,
    /// A program with steps and clean-up of its own: it and all that it started get the signal, and are killed by a second one.
    Stage,
    /// A program that somebody runs through us: it gets the signal, and ends as it likes.
    Guest,
}

/// What an interrupted command ends with; `main` turns it into exit code 130.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// From here on a signal stops the child that runs, and not this process.
pub(crate) fn watch() -> Result<(), String> {
    if WATCHED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM]).map_err(|error| format!("signals: {error}"))?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let is_first = !STOPPED.swap(true, Ordering::SeqCst);
            let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever it is may have ended just now.
            match *running {
                Some((Role::Stage, group)) if is_first => {
                    let signal = Signal::from_named_raw(signal).unwrap_or(Signal::TERM);
                    let _ = kill_process_group(group, signal);
                }
                Some((Role::Step | Role::Stage, group)) => drop(kill_process_group(group, Signal::KILL)),
                Some((Role::Guest, guest)) => forward(guest, signal),
                None => {}
            }
            WOKEN.notify_all();
        }
    });
    Ok(())
}

fn forward(guest: Pid, signal: i32) {
    // A key is told to all who are on the terminal, by the terminal.
    let is_key = matches!(signal, SIGINT | SIGQUIT) && io::stdin().is_terminal();
    if let (false, Some(signal)) = (is_key, Signal::from_named_raw(signal)) {
        let _ = kill_process(guest, signal);
    }
}

/// An error once a signal has come.
pub(crate) fn check() -> Result<(), String> {
    if STOPPED.load(Ordering::SeqCst) { Err(INTERRUPTED.to_owned()) } else { Ok(()) }
}

/// Blocks for `duration`, or until a signal comes.
pub(crate) fn pause(duration: Duration) -> Result<(), String> {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    check()?;
    drop(WOKEN.wait_timeout(running, duration));
    check()
}

/// Runs a program to its end in a process group of its own, and takes what it prints.
pub(crate) fn output(command: &mut Command) -> Result<Output, String> {
    command.stdin(Stdio::null());
    to_its_end(command, Role::Step, Child::wait_with_output)
}

/// The same, and what it prints goes where our own output goes; a signal leaves it the time to clean up.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus, String> {
    command.stdin(Stdio::null());
    to_its_end(command, Role::Stage, |mut child| child.wait())
}

fn to_its_end<T>(
    command: &mut Command,
    role: Role,
    wait: impl FnOnce(Child) -> io::Result<T>,
) -> Result<T, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error| check().err().unwrap_or_else(|| format!("{name}: {error}"));
    // Where nobody watches, the terminal's signals must reach the child by themselves.
    let is_watched = WATCHED.load(Ordering::SeqCst);
    let child = spawn(command, is_watched.then_some(role)).map_err(failed)?;
    let result = wait(child);
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
    check()?;
    result.map_err(|error| format!("{name}: {error}"))
}

/// Runs a program to its end as if it was started in our place: our terminal is its terminal, our signals are its signals.
pub(crate) fn guest(command: &mut Command) -> Result<ExitStatus, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error| check().err().unwrap_or_else(|| format!("{name}: {error}"));
    let mut child = spawn(command, Some(Role::Guest)).map_err(failed)?;
    let status = child.wait();
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
    status.map_err(|error| format!("{name}: {error}"))
}

fn spawn(command: &mut Command, role: Option<Role>) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    // The lock is held until the child is known, so that no signal falls between.
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if STOPPED.load(Ordering::SeqCst) {
        return Err(io::Error::other(INTERRUPTED));
    }
    let Some(role) = role else { return command.spawn() };
    if role != Role::Guest {
        command.process_group(0);
    }
    let child = command.spawn()?;
    *running = i32::try_from(child.id()).ok().and_then(Pid::from_raw).map(|pid| (role, pid));
    Ok(child)
}
