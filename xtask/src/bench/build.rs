//! The programs that are measured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::interrupt;

/// One build of the workloads' programs.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    /// `standpipe-bench`, with `standpipe` beside it.
    pub(crate) bench: PathBuf,
    /// Criterion's program.
    pub(crate) micro: PathBuf,
    /// The hot paths, for callgrind.
    pub(crate) hot: PathBuf,
}

impl Build {
    /// Builds the workspace at `root` into `target`, optimised. Says nothing but what the compiler says.
    pub(crate) fn of(root: &Path, target: &Path) -> Result<Self, String> {
        let mut command = Command::new("cargo");
        command.args(["build", "--release", "--quiet", "--message-format", "json-render-diagnostics"]);
        command.args([
            "--package",
            "standpipe-benches",
            "--package",
            "standpipe-cli",
            "--bins",
            "--bench",
            "micro",
        ]);
        command.current_dir(root).env("CARGO_TARGET_DIR", target);
        let built = programs(&mut command)?;
        let find = |name: &str| {
            let found = built.iter().find(|(target, _)| target == name).map(|(_, path)| path.clone());
            found.ok_or_else(|| format!("cargo built no {name} in {}", root.display()))
        };
        find("standpipe")?;
        Ok(Build { bench: find("standpipe-bench")?, micro: find("micro")?, hot: find("standpipe-hot")? })
    }

    /// The same programs, copied: whoever builds again while they are measured does not change what is measured.
    pub(crate) fn copied(&self, into: &Path) -> Result<Self, String> {
        let copy = |from: &Path| {
            let to = into.join(from.file_name().unwrap_or_default());
            fs::copy(from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
            Ok::<_, String>(to)
        };
        copy(&self.bench.with_file_name("standpipe"))?;
        Ok(Build { bench: copy(&self.bench)?, micro: copy(&self.micro)?, hot: copy(&self.hot)? })
    }
}

/// Runs `cargo build --message-format json..`, and returns the programs that it made, by name.
pub(crate) fn programs(command: &mut Command) -> Result<Vec<(String, PathBuf)>, String> {
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let output = interrupt::output(command)?;
    if !output.status.success() {
        return Err(format!("cargo build ended with {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let made =
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter_map(|message| {
            let path = message["executable"].as_str()?;
            Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
        });
    Ok(made.collect())
}
