//! What is asked of git, and nothing that its user would notice.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::bench::interrupt;

/// A repository; commands run at the root of its working tree.
#[derive(Clone, Debug)]
pub(crate) struct Git {
    root: PathBuf,
}

/// A commit, and the tree that it holds: equal trees are equal sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) commit: String,
    pub(crate) tree: String,
    /// How it is called in what is printed.
    pub(crate) name: String,
    /// Holds what is not committed.
    pub(crate) is_snapshot: bool,
}

impl Git {
    /// The repository that `place` is in.
    pub(crate) fn at(place: &Path) -> Result<Self, String> {
        let here = Git { root: place.to_owned() };
        let root = here.ask(&["rev-parse", "--show-toplevel"])?;
        Ok(Git { root: PathBuf::from(root) })
    }

    /// Where `place` lies within the repository.
    pub(crate) fn within(&self, place: &Path) -> Result<PathBuf, String> {
        let canonical =
            |path: &Path| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
        let (root, place) = (canonical(&self.root)?, canonical(place)?);
        Ok(place.strip_prefix(root).map(Path::to_owned).unwrap_or_default())
    }

    /// The commit that `revision` names.
    pub(crate) fn source(&self, revision: &str) -> Result<Source, String> {
        let known = |revision: &str| {
            let commit = format!("{revision}^{{commit}}");
            self.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])
        };
        // A fresh checkout has the other branches of its origin only.
        let commit = known(revision).or_else(|_| known(&format!("origin/{revision}"))).map_err(|_| {
            format!("{revision}: git knows no such commit (a shallow clone has none but its own; `git fetch --unshallow` brings the rest)")
        })?;
        let tree = self.ask(&["rev-parse", &format!("{commit}^{{tree}}")])?;
        let name = self.ask(&["log", "-1", "--format=%h %s", &commit])?;
        Ok(Source { commit, tree, name, is_snapshot: false })
    }

    /// The working tree as it is, with what is not committed and not ignored, as a commit that no ref names. Written
    /// through an index of its own at `index`: the user's index, refs, stash and files stay as they are. The objects
    /// that this adds are collected by git in its time.
    pub(crate) fn snapshot(&self, index: &Path) -> Result<Source, String> {
        let head = self.source("HEAD")?;
        let own = self.root.join(self.ask(&["rev-parse", "--git-path", "index"])?);
        // The copy knows which files did not change, so that they need not be read. It keeps its time: git reads again
        // what changed at the moment in which the index was written.
        let copied = copy_with_time(&own, index);
        let environment = [("GIT_INDEX_FILE", index.as_os_str())];
        let made = self.written(&head, &environment, copied.is_err());
        let _ = fs::remove_file(index);
        let tree = made?;
        if tree == head.tree {
            return Ok(head);
        }
        let nobody = OsStr::new("standpipe-bench");
        let then = OsStr::new("2000-01-01T00:00:00Z");
        let environment = [
            ("GIT_AUTHOR_NAME", nobody),
            ("GIT_AUTHOR_EMAIL", nobody),
            ("GIT_AUTHOR_DATE", then),
            ("GIT_COMMITTER_NAME", nobody),
            ("GIT_COMMITTER_EMAIL", nobody),
            ("GIT_COMMITTER_DATE", then),
        ];
        let message = "The working tree, to be measured";
        let commit =
            self.ask_with(&["commit-tree", &tree, "-p", &head.commit, "-m", message], &environment)?;
        Ok(Source { commit, tree, name: format!("{} + what is not committed", head.name), is_snapshot: true })
    }

    fn written(&self, head: &Source, environment: &[(&str, &OsStr)], afresh: bool) -> Result<String, String> {
        if afresh {
            self.ask_with(&["read-tree", &head.tree], environment)?;
        }
        self.ask_with(&["add", "--all"], environment)?;
        self.ask_with(&["write-tree"], environment)
    }

    /// Whether a commit has this file.
    pub(crate) fn has(&self, source: &Source, path: &Path) -> bool {
        self.ask(&["cat-file", "-e", &format!("{}:{}", source.commit, path.display())]).is_ok()
    }

    /// Runs git, and returns what it prints, trimmed.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        self.ask_with(arguments, &[])
    }

    fn ask_with(&self, arguments: &[&str], environment: &[(&str, &OsStr)]) -> Result<String, String> {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = interrupt::output(&mut command)?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("git {}: {}", arguments.first().unwrap_or(&""), said.trim()))
        }
    }

    /// Git at the root, without the hooks, and without what a hook that called us has in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]);
        command.args(arguments).current_dir(&self.root);
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"] {
            command.env_remove(name);
        }
        command
    }
}

fn copy_with_time(from: &Path, to: &Path) -> std::io::Result<()> {
    let written = fs::metadata(from)?.modified()?;
    fs::copy(from, to)?;
    fs::File::options().write(true).open(to)?.set_modified(written)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A repository with one commit, gone when it is dropped.
    pub(crate) struct Repository {
        pub(crate) dir: PathBuf,
        pub(crate) git: Git,
    }

    impl Repository {
        pub(crate) fn new(name: &str) -> Result<Self, String> {
            let dir = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
            let git = Git { root: dir.clone() };
            git.ask(&["init", "--quiet", "--initial-branch", "main"])?;
            let repository = Repository { dir, git };
            repository.write("kept", "one")?;
            repository.write(".gitignore", "/ignored\n")?;
            repository.commit("first")?;
            Ok(repository)
        }

        pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), String> {
            let path = self.dir.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&self.dir)).map_err(|error| error.to_string())?;
            fs::write(path, text).map_err(|error| error.to_string())
        }

        pub(crate) fn commit(&self, message: &str) -> Result<Source, String> {
            self.git.ask(&["add", "--all"])?;
            let who = ["-c", "user.name=test", "-c", "user.email=test"];
            self.git.ask(&[&who[..], &["commit", "--quiet", "-m", message]].concat())?;
            self.git.source("HEAD")
        }

        /// All that a user of the repository could see.
        pub(crate) fn seen(&self) -> Result<Vec<String>, String> {
            let index = fs::read(self.dir.join(".git/index")).map_err(|error| error.to_string())?;
            Ok(vec![
                self.git.ask(&["status", "--porcelain", "--ignored"])?,
                self.git.ask(&["for-each-ref"])?,
                self.git.ask(&["diff", "--cached"])?,
                self.git.ask(&["reflog", "show", "--all"])?,
                self.git.ask(&["worktree", "list", "--porcelain"])?,
                format!("{index:?}"),
            ])
        }
    }

    impl Drop for Repository {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    #[test]
    fn a_snapshot_holds_what_is_not_committed_and_touches_nothing() -> Result<(), String> {
        let repository = Repository::new("snapshot")?;
        repository.write("kept", "two")?;
        repository.write("staged", "staged")?;
        repository.git.ask(&["add", "staged"])?;
        repository.write("staged", "staged, then changed")?;
        repository.write("folder/new", "new")?;
        repository.write("ignored", "secret")?;
        // Once first: asking for the status refreshes the index by itself.
        repository.seen()?;
        let before = repository.seen()?;
        let index = repository.dir.join(".git/a-temporary-index");
        let snapshot = repository.git.snapshot(&index)?;
        assert_eq!(repository.seen()?, before);
        assert!(!index.exists());

        let show = |path: &str| repository.git.ask(&["show", &format!("{}:{path}", snapshot.commit)]);
        assert_eq!(show("kept")?, "two");
        assert_eq!(show("staged")?, "staged, then changed");
        assert_eq!(show("folder/new")?, "new");
        assert!(show("ignored").is_err());
        assert_eq!(repository.git.snapshot(&index)?, snapshot, "the same tree is the same commit");
        Ok(())
    }

    #[test]
    fn what_changed_in_the_moment_of_the_index_is_seen() -> Result<(), String> {
        let repository = Repository::new("racy")?;
        let failed = |error: std::io::Error| error.to_string();
        let kept = repository.dir.join("kept");
        let own = repository.dir.join(".git/index");
        // The same size and the same moment: the file's before, the file's after and the index's.
        repository.git.ask(&["config", "core.trustctime", "false"])?;
        let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let at_that_moment = |path: &Path| {
            let file = fs::File::options().write(true).open(path).map_err(failed)?;
            file.set_modified(moment).map_err(failed)
        };
        repository.write("kept", "abc")?;
        at_that_moment(&kept)?;
        repository.commit("second")?;
        repository.write("kept", "two")?;
        at_that_moment(&kept)?;
        at_that_moment(&own)?;
        let snapshot = repository.git.snapshot(&repository.dir.join(".git/a-temporary-index"))?;
        assert_eq!(repository.git.ask(&["show", &format!("{}:kept", snapshot.commit)])?, "two");
        Ok(())
    }

    #[test]
    fn a_clean_tree_is_its_commit() -> Result<(), String> {
        let repository = Repository::new("clean")?;
        let index = repository.dir.join(".git/a-temporary-index");
        assert_eq!(repository.git.snapshot(&index)?, repository.git.source("HEAD")?);
        Ok(())
    }

    #[test]
    fn a_revision_that_is_not_there_is_refused() -> Result<(), String> {
        let repository = Repository::new("revision")?;
        assert!(repository.git.source("nowhere").is_err_and(|message| message.contains("nowhere")));
        assert!(repository.git.source("--all").is_err());
        Ok(())
    }
}
