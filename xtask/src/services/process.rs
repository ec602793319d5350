//! Which processes belong to a server. Servers work in their own directories, and so do their children, also when the parent was
//! killed: that is how they are known, and nobody else's process is ever taken for one.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::Unavailable;

/// What runs in our directories. An editor or a `psql` that somebody started there does not count.
const PROGRAMS: &[&str] = &["postgres", "pgbouncer", "initdb"];

/// How often is looked.
const LOOK: Duration = Duration::from_millis(5);

/// The living processes of the servers that work in `dir` or below it.
pub(super) fn working_in(dir: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| works_in(*pid, dir)).filter_map(Pid::from_raw).collect()
}

fn works_in(pid: i32, dir: &Path) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // `pid (name) state ...`; a name may hold anything.
    let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else { return false };
    let is_gone = stat[close..].starts_with(") Z") || stat[close..].starts_with(") X");
    if is_gone || !PROGRAMS.contains(&&stat[open + 1..close]) {
        return false;
    }
    let Ok(place) = fs::read_link(format!("/proc/{pid}/cwd")) else { return false };
    // What the kernel says of a directory that was removed.
    let text = place.to_string_lossy();
    Path::new(text.strip_suffix(" (deleted)").unwrap_or(&text)).starts_with(dir)
}

/// Sends a signal to all of them. One that has just ended is no error.
pub(super) fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = kill_process(*pid, signal);
    }
}

/// Waits until `is_so`, and tells whether it came true in time. A signal to us does not end the wait: this is for the way out.
pub(super) fn wait_until(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if began.elapsed() > patience {
            return false;
        }
        thread::park_timeout(LOOK);
    }
}

/// Kills all that still works in `dir`, and waits until it has gone.
pub(super) fn kill_all(dir: &Path) -> Result<(), Unavailable> {
    let have_gone = wait_until(Duration::from_secs(20), || {
        let left = working_in(dir);
        signal(&left, Signal::KILL);
        left.is_empty()
    });
    if have_gone {
        return Ok(());
    }
    Err(Unavailable::new(format!("{}: processes of a server there can't be ended", dir.display())))
}
