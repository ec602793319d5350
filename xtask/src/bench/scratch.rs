//! Where files go while something is measured.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, test_kill_process};

/// A directory of this process, removed when it is dropped. What a killed process left is removed by the next one.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new one in `place`.
    pub(crate) fn in_place(place: &Path) -> Result<Self, String> {
        fs::create_dir_all(place).map_err(|error| format!("{}: {error}", place.display()))?;
        for left in abandoned(place) {
            let _ = fs::remove_dir_all(left);
        }
        let dir = place.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Scratch(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now is removed by the next run.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PREFIX: &str = "standpipe-bench-";

/// Directories whose process is gone.
pub(crate) fn abandoned(place: &Path) -> Vec<PathBuf> {
    let is_abandoned = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let process = name.and_then(|name| name.strip_prefix(PREFIX)?.parse().ok()).and_then(Pid::from_raw);
        process.is_some_and(|process| test_kill_process(process) == Err(rustix::io::Errno::SRCH))
    };
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_abandoned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_a_live_one_has_is_not() -> Result<(), String> {
        let place = std::env::temp_dir().join(format!("xtask-scratch-{}", std::process::id()));
        let mut dead = std::process::Command::new("true").spawn().map_err(|error| error.to_string())?;
        let gone = place.join(format!("{PREFIX}{}", dead.id()));
        let kept = place.join(format!("{PREFIX}1"));
        let foreign = place.join("something-else");
        dead.wait().map_err(|error| error.to_string())?;
        for dir in [&gone, &kept, &foreign] {
            fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        }
        let scratch = Scratch::in_place(&place)?;
        assert!(!gone.exists() && kept.exists() && foreign.exists() && scratch.path().exists());
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
        fs::remove_dir_all(&place).map_err(|error| error.to_string())
    }
}
