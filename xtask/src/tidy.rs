use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{Outcome, data};

/// The arrows of the house: which of our crates each crate may depend on, tests aside.
const ARROWS: &[(&str, &[&str])] = &[
    ("standpipe-log", &[]),
    ("standpipe-core", &[]),
    ("standpipe-buffer", &[]),
    ("standpipe-wal", &["standpipe-log"]),
    ("standpipe-pool", &["standpipe-core"]),
    ("standpipe-pool-sqlx", &["standpipe-core"]),
    ("standpipe-row", &["standpipe-core"]),
    ("standpipe-testkit", &["standpipe-log", "standpipe-core"]),
    ("standpipe-sink", &["standpipe-log", "standpipe-core", "standpipe-row", "standpipe-buffer"]),
    ("standpipe-postgres", &["standpipe-core", "standpipe-row", "standpipe-pool"]),
    ("standpipe-sqlite", &["standpipe-core", "standpipe-row", "standpipe-pool"]),
    (
        "standpipe",
        &[
            "standpipe-log",
            "standpipe-core",
            "standpipe-row",
            "standpipe-buffer",
            "standpipe-pool",
            "standpipe-sink",
            "standpipe-wal",
            "standpipe-postgres",
            "standpipe-sqlite",
        ],
    ),
    ("standpipe-cli", &["standpipe"]),
    ("standpipe-harness", &[]),
    (
        "standpipe-benches",
        &[
            "standpipe-harness",
            "standpipe",
            "standpipe-log",
            "standpipe-core",
            "standpipe-row",
            "standpipe-buffer",
            "standpipe-pool",
            "standpipe-sink",
            "standpipe-wal",
            "standpipe-postgres",
            "standpipe-sqlite",
        ],
    ),
    ("xtask", &["standpipe-harness"]),
];

/// Lines above which a file should be two; it is told, not refused.
const LINES_MANY: usize = 400;
/// Lines above which a file is refused.
const LINES_MAX: usize = 600;

/// The arrows between crates, the length of files, and the named tests for known failures.
pub(crate) fn run() -> Outcome {
    let mut faults = arrows()?;
    let sources = sources()?;
    for (path, text) in &sources {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{path} has {lines} lines; split it"));
        } else if lines > LINES_MANY {
            println!("note: {path} has {lines} lines");
        }
        // Spelled apart, so that this file does not name itself.
        for stub in [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("db", "g!(")] {
            if text.contains(stub) {
                faults.push(format!("{path} holds {stub})"));
            }
        }
    }
    faults.extend(known_failures(&sources)?);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n       ")) }
}

fn arrows() -> Result<Vec<String>, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(data::root())
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = allowed.get(name) else {
            faults.push(format!("{name} has no place in the arrows of xtask/src/tidy.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let is_normal = dependency["kind"].is_null();
            if is_normal && on.starts_with("standpipe") && !allowed.contains(&on) {
                faults.push(format!("{name} must not depend on {on}"));
            }
        }
        if name == "standpipe-log" && package["dependencies"].as_array().is_some_and(|all| !all.is_empty()) {
            faults.push("standpipe-log has no dependencies".to_owned());
        }
    }
    Ok(faults)
}

/// Every Rust file of ours with its text.
fn sources() -> Result<Vec<(String, String)>, String> {
    let root = data::root();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["crates", "xtask", "benches", "fuzz"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
            // Workspaces of their own build into their own folders.
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text =
                    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                found.push((shown(&root, &path), text));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Every test that `docs/known-failures.md` names is there: names stand in backquotes as `file.rs::test`.
fn known_failures(sources: &[(String, String)]) -> Result<Vec<String>, String> {
    let page = data::root().join("docs/known-failures.md");
    let text = fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    let mut faults = Vec::new();
    for name in text.split('`').filter(|quoted| quoted.contains(".rs::")) {
        let Some((file, test)) = name.split_once("::") else { continue };
        let is_there =
            sources.iter().any(|(path, text)| path.ends_with(file) && text.contains(&format!("fn {test}")));
        if !is_there {
            faults.push(format!("docs/known-failures.md names `{name}`, which is not there"));
        }
    }
    Ok(faults)
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
