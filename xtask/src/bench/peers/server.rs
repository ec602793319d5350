//! What the comparisons of targets need beside their program: a server of their own, its client, and our command.

use std::{path::PathBuf, process::Command};

use standpipe_harness::Listed;

use crate::{
    bench::build,
    data,
    services::{Options, Postgres, remark},
};

/// The settings that tell the workloads where these are.
pub(super) const KEYS: [&str; 3] = [URL, COMMAND, PSQL];
const URL: &str = "postgres.url";
const COMMAND: &str = "standpipe.command";
const PSQL: &str = "postgres.psql";

/// As it comes, but for what may begin by itself while somebody is measured.
const QUIET: &[(&str, &str)] =
    &[("autovacuum", "off"), ("checkpoint_timeout", "1h"), ("max_wal_size", "4GB")];

/// Whether a contender needs the server.
pub(super) fn is_needed(one: &Listed) -> bool {
    one.group == "targets"
}

/// Starts the server, which goes when it is dropped, and builds the command. Returns the settings that say where they are.
/// An error says why they can't be had.
pub(super) fn ready(given: &[String]) -> Result<(Option<Postgres>, Vec<String>), String> {
    let is_given =
        |key: &str| given.iter().any(|pair| pair.split_once('=').is_some_and(|(name, _)| name.trim() == key));
    let mut set = Vec::new();
    if !is_given(COMMAND) {
        set.push(format!("{COMMAND}={}", command()?.display()));
    }
    if is_given(URL) {
        return Ok((None, set));
    }
    let server = Postgres::start(&Options { name: "bench", settings: QUIET })?;
    eprintln!("The server's data is in {}{}.", server.data().display(), remark(&server.data()));
    set.push(format!("{URL}={}", server.url()));
    let psql = server.programs().join("psql");
    if !is_given(PSQL) && psql.exists() {
        set.push(format!("{PSQL}={}", psql.display()));
    }
    Ok((Some(server), set))
}

/// `standpipe`, optimised.
fn command() -> Result<PathBuf, String> {
    const PROGRAM: &str = "standpipe";
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--package", "standpipe-cli"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo.current_dir(data::root()).env("CARGO_TARGET_DIR", data::target_dir());
    let programs = build::programs(&mut cargo)?;
    let found = programs.into_iter().find(|(name, _)| name == PROGRAM);
    found.map(|(_, path)| path).ok_or_else(|| format!("cargo built no {PROGRAM}"))
}
