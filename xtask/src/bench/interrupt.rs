//! Ctrl-C, a polite kill, a terminal that is closed: the child that runs is stopped with all that it started, and whoever waited for it is
//! told, so that scratch directories and worktrees are removed on the way out.

use std::{
    io,
    process::{Child, Command, Output, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
};

static STOPPED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Option<Pid>> = Mutex::new(None);

/// What an interrupted command ends with; `main` turns it into exit code 130.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// From here on a signal stops the child that runs, and not this process.
pub(crate) fn watch() -> Result<(), String> {
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM]).map_err(|error| format!("signals: {error}"))?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            STOPPED.store(true, Ordering::SeqCst);
            if let Some(group) = *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) {
                // It may have ended just now.
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    });
    Ok(())
}

/// An error once a signal has come.
pub(crate) fn check() -> Result<(), String> {
    if STOPPED.load(Ordering::SeqCst) { Err(INTERRUPTED.to_owned()) } else { Ok(()) }
}

/// Runs a program to its end in a process group of its own, and takes what it prints.
pub(crate) fn output(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    let failed = |error| check().err().unwrap_or_else(|| format!("{name}: {error}"));
    let child = spawn(command).map_err(failed)?;
    let output = child.wait_with_output();
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
    check()?;
    output.map_err(|error| format!("{name}: {error}"))
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    // The lock is held until the child is known, so that no signal falls between.
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if STOPPED.load(Ordering::SeqCst) {
        return Err(io::Error::other(INTERRUPTED));
    }
    let child = command.process_group(0).spawn()?;
    *running = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(child)
}
