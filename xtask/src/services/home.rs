use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::{Unavailable, process, root, shared_memory};

/// The directory of one server. Whoever runs the server holds a lock on it, which a kill takes away too: a home without a lock is
/// left over, unless its server was started to stay.
pub(super) struct Home {
    path: PathBuf,
    /// Held until the home is dropped.
    _lock: File,
}

/// What a home says of its server, once that answers.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// `PostgreSQL` or `PgBouncer`, with its version.
    pub(super) server: String,
    /// The variable that tests look for it in.
    pub(super) variable: String,
    /// With the password.
    pub(super) url: String,
    /// It goes on without whoever started it.
    pub(super) stays: bool,
}

const RECORD: &str = "server.json";
/// PostgreSQL's data, in its home.
pub(super) const DATA: &str = "data";
/// The certificate of who signed the server's.
pub(super) const CA: &str = "ca.pem";
/// How many of one name run at once.
const SAME_NAME_MAX: u32 = 64;

impl Home {
    /// An empty home of this name; `None` where somebody has it.
    pub(super) fn claim(root: &Path, name: &str) -> Result<Option<Self>, Unavailable> {
        root::make(root)?;
        clean(root);
        let path = root.join(name);
        let Some(lock) = lock(&path)? else { return Ok(None) };
        if is_wanted(&path) {
            return Ok(None);
        }
        empty(&path, Duration::from_secs(5))?;
        fs::create_dir(&path).map_err(Unavailable::at(&path))?;
        root::open(&path)?;
        Ok(Some(Home { path, _lock: lock }))
    }

    /// An empty home of this name, or of this name with a number when somebody has that.
    pub(super) fn claim_like(root: &Path, name: &str) -> Result<Self, Unavailable> {
        for number in 1..=SAME_NAME_MAX {
            let name = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
            if let Some(home) = Home::claim(root, &name)? {
                return Ok(home);
            }
        }
        Err(Unavailable::new(format!("{}: {SAME_NAME_MAX} servers {name} run there", root.display())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Says what runs here, from now on. The file holds a password.
    pub(super) fn record(&self, record: &Record) -> Result<(), Unavailable> {
        let path = self.path.join(RECORD);
        let text = serde_json::to_vec_pretty(record).map_err(|error| Unavailable::new(error.to_string()))?;
        let new = self.path.join("server.json.new");
        let mut file = File::options();
        let file = file.write(true).create(true).truncate(true).mode(0o600).open(&new);
        file.and_then(|mut file| std::io::Write::write_all(&mut file, &text))
            .and_then(|()| fs::rename(&new, &path))
            .map_err(Unavailable::at(&path))
    }

    /// Ends what runs here within `patience`, then with force, and removes all of it.
    pub(super) fn remove(&self, patience: Duration) -> Result<(), Unavailable> {
        empty(&self.path, patience)?;
        // Still locked: whoever waits for this file finds that it is no longer the one that counts.
        let _ = fs::remove_file(lock_of(&self.path));
        Ok(())
    }
}

/// A home as others see it.
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) record: Option<Record>,
    pub(super) processes: Vec<Pid>,
    /// The lock, when nobody has it: the home can be removed.
    pub(super) home: Option<Home>,
}

/// All homes, by name.
pub(super) fn all(root: &Path) -> Vec<Seen> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    paths.sort();
    let seen = paths.into_iter().map(|path| {
        let lock = lock(&path).ok().flatten();
        let home = lock.map(|lock| Home { path: path.clone(), _lock: lock });
        Seen { record: recorded(&path), processes: process::working_in(&path), home, path }
    });
    seen.collect()
}

pub(super) fn recorded(home: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(home.join(RECORD)).ok()?).ok()
}

/// Whether a server runs there that was started to stay.
fn is_wanted(home: &Path) -> bool {
    recorded(home).is_some_and(|record| record.stays) && !process::working_in(home).is_empty()
}

/// Ends the servers whose homes somebody removed.
pub(super) fn end_orphans(root: &Path) {
    let orphans = process::orphans(root);
    if orphans.is_empty() {
        return;
    }
    eprintln!("services: ending servers whose files were removed");
    // PostgreSQL gives its shared memory back so.
    process::signal(&orphans, Signal::INT);
    process::wait_until(Duration::from_secs(5), || process::orphans(root).is_empty());
    process::signal(&process::orphans(root), Signal::KILL);
}

/// Removes what killed runs left.
fn clean(root: &Path) {
    end_orphans(root);
    for seen in all(root) {
        let (Some(home), false) = (seen.home, is_wanted(&seen.path)) else { continue };
        if !seen.processes.is_empty() {
            eprintln!("services: ending what a killed run left in {}", seen.path.display());
        }
        if let Err(why) = home.remove(Duration::from_secs(5)) {
            eprintln!("services: {why}");
        }
    }
}

/// Ends a server, whoever started it, and removes its home.
fn empty(home: &Path, patience: Duration) -> Result<(), Unavailable> {
    let data = home.join(DATA);
    let living = process::working_in(home);
    process::signal(&living, Signal::CONT);
    if let Some(postmaster) = postmaster(&data).filter(|pid| living.contains(pid)) {
        process::signal(&[postmaster], Signal::INT);
        process::wait_until(patience, || process::working_in(home).is_empty());
    }
    // PgBouncer has nothing to lose.
    process::kill_all(home)?;
    if let Err(why) = shared_memory::remove_left(&data) {
        eprintln!("services: {why}");
    }
    match fs::remove_dir_all(home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Unavailable::at(home)(error)),
        _ => Ok(()),
    }
}

/// The first process of a PostgreSQL, as its own file says.
pub(super) fn postmaster(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

fn lock_of(home: &Path) -> PathBuf {
    home.with_extension("lock")
}

/// The lock on a home, `None` where somebody holds it.
fn lock(home: &Path) -> Result<Option<File>, Unavailable> {
    let path = lock_of(home);
    let failed = Unavailable::at(&path);
    loop {
        let file = File::options().read(true).append(true).create(true).open(&path).map_err(&failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Whoever held it may have removed it just before.
        let inode = file.metadata().map_err(&failed)?.ino();
        if fs::metadata(&path).is_ok_and(|about| about.ino() == inode) {
            return Ok(Some(file));
        }
    }
}
