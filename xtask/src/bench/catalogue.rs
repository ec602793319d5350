//! The workloads that a build has.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize;
use standpipe_harness::{Listed, Reserved};

use super::interrupt;

/// What `standpipe-bench list` says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Catalogue {
    pub(crate) workloads: Vec<Listed>,
    pub(crate) reserved: Vec<Reserved>,
    /// What `--set` takes, and what each says.
    pub(crate) keys: Vec<(String, String)>,
}

impl Catalogue {
    /// Asks the program.
    pub(crate) fn of(program: &Path) -> Result<Self, String> {
        let mut command = Command::new(program);
        let output = interrupt::output(command.arg("list").stdout(Stdio::piped()))?;
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{} list: {error}", program.display()))
    }

    /// Refuses `key=value` pairs whose key no workload knows, and lists those there are.
    pub(crate) fn check_settings(&self, pairs: &[String]) -> Result<(), String> {
        for pair in pairs {
            let Some((key, _)) = pair.split_once('=') else {
                return Err(format!("--set {pair}: write it as key=value"));
            };
            if !self.keys.iter().any(|(name, _)| name == key.trim()) {
                let there: Vec<_> =
                    self.keys.iter().map(|(name, says)| format!("  {name:<24} {says}")).collect();
                return Err(format!("--set {key}: no such setting. There are:\n{}", there.join("\n")));
            }
        }
        Ok(())
    }

    /// The workloads of a set. `wanted` are groups or names, or beginnings of names that end in `.`; none means all.
    /// The self-test's own are taken only when they are named.
    pub(crate) fn select(&self, wanted: &[String], quick: bool) -> Result<Vec<Listed>, String> {
        let is_wanted = |one: &Listed, word: &str| {
            one.group == word || one.name == word || (word.ends_with('.') && one.name.starts_with(word))
        };
        for word in wanted {
            if !self.workloads.iter().any(|one| is_wanted(one, word)) {
                let mut groups: Vec<_> = self.workloads.iter().map(|one| one.group.as_str()).collect();
                groups.dedup();
                return Err(format!(
                    "--group {word}: no such group or workload; groups: {}",
                    groups.join(", ")
                ));
            }
        }
        let chosen = self.workloads.iter().filter(|one| {
            if wanted.is_empty() {
                (one.quick || !quick) && one.group != SELFTEST
            } else {
                // What is named in full is meant, whichever set it is in.
                wanted.iter().any(|word| one.name == *word || (is_wanted(one, word) && (one.quick || !quick)))
            }
        });
        let chosen: Vec<_> = chosen.cloned().collect();
        if chosen.is_empty() {
            return Err("no workload of this set is in that group; --full takes them all".to_owned());
        }
        Ok(chosen)
    }
}

const SELFTEST: &str = "selftest";
