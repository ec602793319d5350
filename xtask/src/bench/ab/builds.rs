//! Two revisions built so that what is equal in them is equal in their programs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    git::{Git, Source},
    tree::Tree,
};
use crate::{
    Outcome,
    bench::{build::Build, home, interrupt},
    data,
};

/// The programs of both sides, and of what they were built. Both revisions are checked out one after the other into
/// one working tree and built into one target directory: paths, and with them hashes and the layout of the code, are
/// equal where the sources are, and what is foreign is built once. What was built is kept for the next time.
pub(crate) struct Builds {
    pub(crate) base: Built,
    pub(crate) this: Built,
    /// Held while the directory is in use.
    _lock: File,
}

/// One side.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) source: Source,
    pub(crate) build: Build,
}

/// The programs, by the names under which both sides keep them. `standpipe` is beside `standpipe-bench`, which runs it.
const PROGRAMS: [&str; 4] = ["standpipe-bench", "standpipe", "micro", "standpipe-hot"];
/// Written last, so that half a copy is never taken for a whole one.
const STAMP: &str = "built-of";
/// Equally long, so that both sides' programs start with equally long paths: the stack begins behind them.
const SIDES: [&str; 2] = ["base", "this"];

impl Builds {
    /// Builds this tree, with what is not committed, and `revision`, as far as they are not built yet.
    pub(crate) fn of(revision: &str) -> Result<Self, String> {
        let git = Git::at(&data::root())?;
        let place = home().join("ab");
        fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        // Cargo runs in another directory, to which a relative path would mean another place.
        let place = place.canonicalize().map_err(|error| format!("{}: {error}", place.display()))?;
        let lock = locked(&place.join("lock"))?;
        let within = git.within(&data::root())?;
        let base = git.source(revision)?;
        if !git.has(&base, &within.join("benches/Cargo.toml")) {
            return Err(format!(
                "{revision} ({}) has no benches/: it is older than the benchmarks and can't be measured by them",
                base.name
            ));
        }
        let this = git.snapshot(&super::index_path()?)?;
        println!("base  {}\nthis  {}", base.name, this.name);
        if base.tree == this.tree {
            println!("The sources of both are the same. They are measured as if they were not.");
        }
        let toolchain = toolchain()?;
        let [base, this] = Self::made(&git, &place, &within, [base, this], &toolchain)?;
        Ok(Builds { base, this, _lock: lock })
    }

    fn made(
        git: &Git,
        place: &Path,
        within: &Path,
        sources: [Source; 2],
        toolchain: &str,
    ) -> Result<[Built; 2], String> {
        let stamps = sources.each_ref().map(|source| format!("tree {}\n{toolchain}", source.tree));
        // The other side may hold what this one wants: base and tree change places often. Looked at before either is
        // overwritten.
        let held = SIDES.map(|side| fs::read_to_string(place.join(side).join(STAMP)).unwrap_or_default());
        let next = place.join("next");
        let mut tree: Option<Tree<'_>> = None;
        let mut fresh: Vec<(usize, PathBuf)> = Vec::new();
        for side in 0..SIDES.len() {
            if held[side] == stamps[side] {
                continue;
            }
            let to = next.join(SIDES[side]);
            let from =
                held.iter().position(|stamp| *stamp == stamps[side]).map(|other| place.join(SIDES[other]));
            let earlier =
                fresh.iter().find(|(other, _)| stamps[*other] == stamps[side]).map(|(_, path)| path.clone());
            if let Some(from) = from.or(earlier) {
                copied(PROGRAMS.map(|name| from.join(name)), &to)?;
            } else {
                let source = &sources[side];
                let tree = match &mut tree {
                    Some(tree) => {
                        tree.check_out(source)?;
                        tree
                    }
                    none => none.insert(Tree::new(git, &place.join("tree"), source)?),
                };
                println!("Building {} ({}) ..", SIDES[side], source.name);
                let build = Build::of(&tree.path().join(within), &place.join("target"))?;
                let standpipe = build.bench.with_file_name("standpipe");
                copied([build.bench, standpipe, build.micro, build.hot], &to)?;
            }
            fs::write(to.join(STAMP), &stamps[side]).map_err(|error| format!("{}: {error}", to.display()))?;
            fresh.push((side, to));
        }
        drop(tree);
        for (side, from) in fresh {
            let to = place.join(SIDES[side]);
            removed(&to)?;
            fs::rename(&from, &to).map_err(|error| format!("{}: {error}", to.display()))?;
        }
        removed(&next)?;
        let mut sides = SIDES.into_iter();
        Ok(sources.map(|source| {
            let at = place.join(sides.next().unwrap_or_default());
            let build =
                Build { bench: at.join(PROGRAMS[0]), micro: at.join(PROGRAMS[2]), hot: at.join(PROGRAMS[3]) };
            Built { source, build }
        }))
    }

    /// Whether no byte of the workloads' program differs: then nothing but noise can.
    pub(crate) fn are_identical(&self) -> bool {
        let read = |built: &Built| fs::read(&built.build.bench);
        matches!((read(&self.base), read(&self.this)), (Ok(base), Ok(this)) if base == this)
    }
}

fn copied(programs: [PathBuf; 4], to: &Path) -> Outcome {
    removed(to)?;
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    for (from, name) in programs.iter().zip(PROGRAMS) {
        fs::copy(from, to.join(name)).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    Ok(())
}

fn removed(dir: &Path) -> Outcome {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn locked(path: &Path) -> Result<File, String> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    file.try_lock().map_err(|_| format!("{}: another comparison runs in this directory", path.display()))?;
    Ok(file)
}

/// All that decides, beside the sources, what cargo makes of them.
fn toolchain() -> Result<String, String> {
    let mut command = Command::new("rustc");
    command.arg("-vV").current_dir(data::root()).stdout(Stdio::piped());
    let output = interrupt::output(&mut command)?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut flags: Vec<String> = std::env::vars()
        .filter(|(name, _)| name.contains("RUSTFLAGS") || name.starts_with("CARGO_PROFILE_"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    flags.sort();
    let root = data::root();
    let folders = root.ancestors().skip(1).map(|folder| folder.join(".cargo"));
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let own = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    for folder in folders.chain(own) {
        for name in ["config.toml", "config"] {
            flags.extend(fs::read_to_string(folder.join(name)));
        }
    }
    text.push_str(&flags.join("\n"));
    Ok(text)
}
