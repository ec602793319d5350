//! Which processes belong to a server. Servers work in their own directories, and so do their children, also when the parent was
//! killed: that is how they are known, and nobody else's process is ever taken for one.

use std::{
    fs,
    path::{Path, PathBuf},
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
    all().filter(|(_, place)| place.dir.starts_with(dir)).map(|(pid, _)| pid).collect()
}

/// Those whose directory was removed under them, as whoever removes a whole build does.
pub(super) fn orphans(dir: &Path) -> Vec<Pid> {
    all().filter(|(_, place)| place.is_removed && place.dir.starts_with(dir)).map(|(pid, _)| pid).collect()
}

/// Where a process works.
struct Place {
    dir: PathBuf,
    is_removed: bool,
}

fn all() -> impl Iterator<Item = (Pid, Place)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(|pid: i32| Some((Pid::from_raw(pid)?, place(pid)?)))
}

/// `None` for what has ended, is no server, or is none of ours to look at.
fn place(pid: i32) -> Option<Place> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state ...`; a name may hold anything.
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let has_ended = stat[close..].starts_with(") Z") || stat[close..].starts_with(") X");
    if has_ended || !PROGRAMS.contains(&stat.get(open + 1..close)?) {
        return None;
    }
    let dir = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    // What the kernel says of a directory that was removed.
    let rest = dir.to_str().and_then(|dir| dir.strip_suffix(" (deleted)")).map(PathBuf::from);
    Some(Place { is_removed: rest.is_some(), dir: rest.unwrap_or(dir) })
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
