//! Removes what is old.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;

use super::{home, interrupt, run::shown, scratch, units};
use crate::{Outcome, data};

/// The arguments of `bench clean`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CleanArgs {
    /// How many records of `run`, and of `peers`, stay: the newest
    #[arg(long, value_name = "N", default_value_t = 10)]
    keep: usize,
    /// Also remove every baseline
    #[arg(long)]
    baselines: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench clean --keep 10
  cargo xtask bench clean --keep 0 --baselines     everything
  cargo xtask bench clean --dry-run

Removes, in target/bench: records but the newest, the builds of `ab`, and what killed processes left.
Baselines stay unless --baselines.

Exit codes: 0 done, 2 something can't be removed";

pub(crate) fn run(args: &CleanArgs) -> Outcome {
    let home = home();
    let mut paths = old_runs(&home.join("runs"), args.keep)?;
    paths.extend(old_runs(&home.join("peers"), args.keep)?);
    // Held until all is removed: a comparison that runs keeps its builds.
    let (builds, _lock) = builds(&home.join("ab"))?;
    let had_builds = !builds.is_empty();
    paths.extend(builds);
    paths.extend(["scratch", "programs"].iter().flat_map(|place| scratch::abandoned(&home.join(place))));
    if args.baselines {
        let mut baselines = entries(&home.join("baselines"))?;
        baselines.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        paths.extend(baselines);
    }
    let mut sum = 0;
    for path in &paths {
        interrupt::check()?;
        let size = bytes(path);
        sum += size;
        if !args.dry_run {
            remove(path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        println!("{:>10}  {}", units::bytes(size), shown(path));
    }
    if had_builds && !args.dry_run {
        prune()?;
    }
    let done = if args.dry_run { "would be removed" } else { "removed" };
    println!("{}, {} paths {done}", units::bytes(sum), paths.len());
    Ok(())
}

/// Names begin with the time, so that they sort by it. What has another name is not ours.
fn old_runs(folder: &Path, keep: usize) -> Result<Vec<PathBuf>, String> {
    let mut runs = entries(folder)?;
    runs.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".json") && name.bytes().take(8).filter(u8::is_ascii_digit).count() == 8
    });
    runs.truncate(runs.len().saturating_sub(keep));
    Ok(runs)
}

/// All of a comparison's directory but its lock, and the lock, taken.
fn builds(folder: &Path) -> Result<(Vec<PathBuf>, Option<File>), String> {
    let mut found = entries(folder)?;
    found.retain(|path| path.file_name().is_none_or(|name| name != LOCK));
    if found.is_empty() {
        return Ok((found, None));
    }
    let path = folder.join(LOCK);
    let lock = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if lock.try_lock().is_err() {
        println!("a comparison runs; its builds stay");
        return Ok((Vec::new(), None));
    }
    Ok((found, Some(lock)))
}

/// What `ab` holds while it runs.
const LOCK: &str = "lock";

/// Sorted; none when there is no such folder. A link leads elsewhere, where nothing is ours to remove.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    if folder.symlink_metadata().is_ok_and(|about| about.is_symlink()) {
        return Err(format!("{}: it is a link; clean where it leads by hand", folder.display()));
    }
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(failed)?,
    };
    let mut found = listed.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    found.sort();
    Ok(found)
}

fn bytes(path: &Path) -> u64 {
    let Ok(about) = path.symlink_metadata() else { return 0 };
    if !about.is_dir() {
        return about.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| bytes(&entry.path())).sum()
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Git forgets the working trees that are gone. No news where there is no git.
fn prune() -> Outcome {
    let mut command = Command::new("git");
    command.args(["worktree", "prune"]).current_dir(data::root());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    match interrupt::output(&mut command) {
        Err(message) if message == interrupt::INTERRUPTED => Err(message),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay() -> Result<(), String> {
        let place = std::env::temp_dir().join(format!("xtask-clean-{}", std::process::id()));
        let failed = |error: io::Error| error.to_string();
        fs::create_dir_all(&place).map_err(failed)?;
        fs::write(place.join("README"), "not ours").map_err(failed)?;
        for name in ["20260301-000000-a.json", "20251231-235959-c.json", "20260302-101010-b.json"] {
            fs::write(place.join(name), "12345").map_err(failed)?;
        }
        let old = old_runs(&place, 1)?;
        let names: Vec<_> = old.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["20251231-235959-c.json", "20260301-000000-a.json"]);
        assert_eq!(bytes(&place), 15 + 8);
        assert!(old_runs(&place, 9)?.is_empty());
        let link = place.with_extension("link");
        std::os::unix::fs::symlink(&place, &link).map_err(failed)?;
        assert!(old_runs(&link, 0).is_err(), "a link is not followed");
        fs::remove_file(&link).map_err(failed)?;
        fs::remove_dir_all(&place).map_err(failed)?;
        assert!(old_runs(&place, 0)?.is_empty(), "no folder, nothing to remove");
        Ok(())
    }

    #[test]
    fn a_comparison_that_runs_keeps_its_builds() -> Result<(), String> {
        let place = std::env::temp_dir().join(format!("xtask-clean-ab-{}", std::process::id()));
        let failed = |error: io::Error| error.to_string();
        fs::create_dir_all(place.join("base")).map_err(failed)?;
        let running = File::create(place.join(LOCK)).map_err(failed)?;
        running.lock().map_err(failed)?;
        assert!(builds(&place)?.0.is_empty());
        drop(running);
        assert_eq!(builds(&place)?.0, [place.join("base")]);
        fs::remove_dir_all(&place).map_err(failed)
    }
}
