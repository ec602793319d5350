//! Where files go while something is measured.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// A directory of this process, removed when it is dropped. What a killed process left is removed by the next one: it
/// holds a file that its owner keeps locked while it lives, also where another container sees no such process.
pub(crate) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// A new one in `place`.
    pub(crate) fn in_place(place: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", place.display());
        fs::create_dir_all(place).map_err(failed)?;
        for left in abandoned(place) {
            let _ = fs::remove_dir_all(left);
        }
        // Containers that share the place may have the same numbers of processes.
        let process = std::process::id();
        let names = (0..100).map(|count| place.join(format!("{PREFIX}{process}-{count}")));
        let path = names.into_iter().find(|path| fs::create_dir(path).is_ok());
        let path = path.ok_or_else(|| format!("{}: no directory can be made in it", place.display()))?;
        // Between these two nobody takes it for abandoned: without a file that says so it is not ours.
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Scratch { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now is removed by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

const PREFIX: &str = "standpipe-bench-";
const LOCK: &str = ".standpipe-bench-lock";

/// Directories that a process made which is gone. A name like ours is not enough.
pub(crate) fn abandoned(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let ours = directories.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    ours.map(|entry| entry.path()).filter(|path| is_unlocked(&path.join(LOCK))).collect()
}

fn is_unlocked(lock: &Path) -> bool {
    let is_file = lock.symlink_metadata().is_ok_and(|about| about.is_file());
    is_file && File::open(lock).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_nothing_else() -> Result<(), String> {
        let place = std::env::temp_dir().join(format!("xtask-scratch-{}", std::process::id()));
        let failed = |error: std::io::Error| error.to_string();
        let gone = place.join(format!("{PREFIX}4000000-0"));
        // A name like ours, of somebody who knows nothing of us.
        let foreign = place.join(format!("{PREFIX}2026/src"));
        let other = place.join("something-else");
        for dir in [&gone, &foreign, &other] {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        fs::write(gone.join(LOCK), "").map_err(failed)?;
        let living = Scratch::in_place(&place)?;
        let second = Scratch::in_place(&place)?;
        assert!(!gone.exists() && foreign.exists() && other.exists());
        assert!(living.path().exists() && living.path() != second.path());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists() && second.path().exists());
        drop(second);
        fs::remove_dir_all(&place).map_err(failed)
    }
}
