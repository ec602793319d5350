//! Where the programs of the servers are.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::account::Account;

/// The directory of PostgreSQL's programs, from the search path, from where packages put them (the newest first), or where
/// `pg_config` says.
pub(super) fn postgres(account: &Account) -> Option<PathBuf> {
    let packaged = versions("/usr/lib/postgresql").into_iter().map(|dir| dir.join("bin"));
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let mut places = searched().chain(packaged).chain(told);
    places.find(|dir| {
        ["postgres", "initdb", "psql"].iter().all(|name| dir.join(name).is_file())
            && account.closed(&dir.join("postgres")).is_none()
    })
}

/// PgBouncer, from the search path or where a package puts what only root is thought to run.
pub(super) fn pgbouncer(account: &Account) -> Option<PathBuf> {
    let packaged = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let mut places = searched().chain(packaged).map(|dir| dir.join("pgbouncer"));
    places.find(|path| path.is_file() && account.closed(path).is_none())
}

/// The first number of the kind `1.18` or `15` in what the program says of itself.
pub(super) fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

fn searched() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).filter(|dir| dir.is_absolute()).collect::<Vec<_>>().into_iter()
}

/// The folders that are named by a number, the greatest first.
fn versions(place: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let numbered =
        entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    let mut numbered: Vec<(u32, PathBuf)> = numbered.collect();
    numbered.sort_by(|one, other| other.cmp(one));
    numbered.into_iter().map(|(_, path)| path).collect()
}
