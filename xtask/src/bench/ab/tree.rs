//! One working tree into which either revision is checked out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use super::git::{Git, Source};
use crate::Outcome;

/// A registered git worktree; it is unregistered and removed when this is dropped.
pub(crate) struct Tree<'a> {
    git: &'a Git,
    path: PathBuf,
}

impl<'a> Tree<'a> {
    /// A new one at `path`, with `source` checked out. What a killed run left there is removed first.
    pub(crate) fn new(git: &'a Git, path: &Path, source: &Source) -> Result<Self, String> {
        let tree = Tree { git, path: path.to_owned() };
        tree.remove();
        if path.exists() {
            return Err(format!("{}: it is in the way and can't be removed", path.display()));
        }
        // Twice --force: also when it is registered and missing, and locked.
        git.ask(&[
            "worktree",
            "add",
            "--quiet",
            "--force",
            "--force",
            "--detach",
            &tree.path_text(),
            &source.commit,
        ])?;
        Ok(tree)
    }

    /// Has another revision checked out; files that are equal in both are not touched, so that what was built of
    /// them stands.
    pub(crate) fn check_out(&self, source: &Source) -> Outcome {
        self.git.ask(&[
            "-C",
            &self.path_text(),
            "checkout",
            "--quiet",
            "--force",
            "--detach",
            &source.commit,
        ])?;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the files, then what git knows of them; other worktrees are none of our business, so nothing is pruned.
    /// Runs on the way out of an interrupted command too, and is in no hurry to tell what could not be done: the next
    /// run does it.
    fn remove(&self) {
        use std::os::unix::process::CommandExt;
        let _ = fs::remove_dir_all(&self.path);
        let mut command = self.git.command(&["worktree", "remove", "--force", "--force", &self.path_text()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: the Ctrl-C that ends us does not reach it.
        let _ = command.process_group(0).status();
    }

    fn path_text(&self) -> String {
        self.path.display().to_string()
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::git::tests::Repository, *};

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn both_revisions_are_checked_out_and_nothing_is_left() -> Result<(), String> {
        let repository = Repository::new("tree")?;
        let first = repository.git.source("HEAD")?;
        repository.write("kept", "two")?;
        let second = repository.git.snapshot(&repository.dir.join(".git/other"))?;
        repository.seen()?;
        let before = repository.seen()?;
        let path = repository.dir.join("ignored/tree");
        {
            let tree = Tree::new(&repository.git, &path, &first)?;
            assert_eq!(read(&tree.path().join("kept")), "one");
            tree.check_out(&second)?;
            assert_eq!(read(&tree.path().join("kept")), "two");
        }
        assert!(!path.exists());
        fs::remove_dir_all(repository.dir.join("ignored")).map_err(|error| error.to_string())?;
        assert_eq!(repository.seen()?, before);
        Ok(())
    }

    #[test]
    fn what_a_killed_run_left_is_repaired() -> Result<(), String> {
        let repository = Repository::new("stale")?;
        let source = repository.git.source("HEAD")?;
        let path = repository.dir.join("ignored/tree");
        // Registered, and there.
        std::mem::forget(Tree::new(&repository.git, &path, &source)?);
        std::mem::forget(Tree::new(&repository.git, &path, &source)?);
        // Registered and broken; registered and gone; there and not registered.
        fs::write(path.join(".git"), "nonsense").map_err(|error| error.to_string())?;
        std::mem::forget(Tree::new(&repository.git, &path, &source)?);
        fs::remove_dir_all(&path).map_err(|error| error.to_string())?;
        drop(Tree::new(&repository.git, &path, &source)?);
        fs::create_dir_all(path.join("something")).map_err(|error| error.to_string())?;
        let tree = Tree::new(&repository.git, &path, &source)?;
        assert_eq!(read(&tree.path().join("kept")), "one");
        drop(tree);
        assert_eq!(repository.git.ask(&["worktree", "list"])?.lines().count(), 1);
        Ok(())
    }

    #[test]
    fn other_worktrees_stay_registered() -> Result<(), String> {
        let repository = Repository::new("others")?;
        let source = repository.git.source("HEAD")?;
        // One on a disk that is not there at the moment.
        let away = repository.dir.join("ignored/away");
        std::mem::forget(Tree::new(&repository.git, &away, &source)?);
        fs::remove_dir_all(&away).map_err(|error| error.to_string())?;
        drop(Tree::new(&repository.git, &repository.dir.join("ignored/tree"), &source)?);
        assert!(repository.git.ask(&["worktree", "list"])?.contains("away"));
        Ok(())
    }
}
