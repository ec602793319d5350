use std::process::Command;

use serde_json::Value;

use crate::{Outcome, data};

/// What may be linked into something that is licensed as we are. `deny.toml` has the same list, for those who have cargo-deny.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// The licence of every crate that is in a lock file whose build is part of `test`, and that each comes from the registry.
pub(crate) fn run() -> Outcome {
    let mut faults = of(".")?;
    faults.extend(of(data::POOL_WITH_SQLX)?);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n       ")) }
}

/// What is wrong with those of the workspace in this folder.
fn of(folder: &str) -> Result<Vec<String>, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(data::root().join(folder))
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
        format!("cargo metadata in {folder}: {error}: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    let packages: Vec<&Value> = metadata["packages"].as_array().into_iter().flatten().collect();
    let mut faults = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence) {
            faults.push(format!("{name}: licence {licence:?} is not among those we may use"));
        }
        if let Some(source) = package["source"].as_str()
            && !source.starts_with("registry+")
        {
            faults.push(format!("{name} comes from {source}, not from the registry"));
        }
    }
    println!("{folder}: {} crates looked at", packages.len());
    Ok(faults)
}

/// Whether one of the alternatives is made of allowed licences only. `/` is the old way to write OR.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ").replace(['(', ')'], " ");
    plain.split(" OR ").any(|alternative| {
        let mut parts = alternative.split(" AND ").map(str::trim).peekable();
        parts.peek().is_some_and(|first| !first.is_empty()) && parts.all(|part| ALLOWED.contains(&part))
    })
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn one_alternative_is_enough_and_every_part_of_it_counts() {
        assert!(is_allowed("MIT OR GPL-3.0"));
        assert!(is_allowed("MIT/Apache-2.0"));
        assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR MIT"));
        assert!(!is_allowed("GPL-3.0"));
        assert!(!is_allowed("MIT AND GPL-3.0"));
        assert!(!is_allowed(""));
    }
}
