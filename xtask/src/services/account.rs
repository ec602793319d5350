use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use rustix::process::{getegid, geteuid};

use super::Unavailable;

/// Who the servers run as: we ourselves, or, as servers refuse root, somebody without rights.
#[derive(Clone)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
    /// We are root and become the account.
    changes: bool,
}

/// Accounts that a system has for such ends, the best first.
const WITHOUT_RIGHTS: &[&str] = &["postgres", "nobody"];

impl Account {
    pub(super) fn of_servers() -> Result<Self, Unavailable> {
        if !geteuid().is_root() {
            return Ok(Account { uid: geteuid().as_raw(), gid: getegid().as_raw(), changes: false });
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = WITHOUT_RIGHTS.iter().find_map(|name| ids(&accounts, name));
        let (uid, gid) = found.ok_or_else(|| {
            Unavailable::new(
                "PostgreSQL refuses root, and there is no account `postgres` or `nobody` to run it as",
            )
        })?;
        Ok(Account { uid, gid, changes: true })
    }

    /// A command that runs as this account, in this directory, without what a developer's environment says to PostgreSQL.
    pub(super) fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if self.changes {
            // The other groups are given up too, by the standard library.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Hands a file or directory over to the account.
    pub(super) fn give(&self, path: &Path) -> Result<(), Unavailable> {
        if !self.changes {
            return Ok(());
        }
        chown(path, Some(self.uid), Some(self.gid)).map_err(Unavailable::at(path))
    }

    /// The first directory on the way to `path`, and `path` itself, that the account can't pass. What is not there yet is
    /// made by us.
    pub(super) fn closed<'path>(&self, path: &'path Path) -> Option<&'path Path> {
        path.ancestors().collect::<Vec<_>>().into_iter().rev().find(|dir| {
            fs::metadata(dir).is_ok_and(|about| {
                let bit = if about.uid() == self.uid {
                    0o100
                } else if about.gid() == self.gid {
                    0o010
                } else {
                    0o001
                };
                about.mode() & bit == 0
            })
        })
    }
}

/// User and group of a name.
fn ids(accounts: &str, name: &str) -> Option<(u32, u32)> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}
