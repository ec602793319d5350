use std::{
    env, fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use super::{Unavailable, account::Account};
use crate::data;

/// Names another directory for the servers' data.
pub(super) const VARIABLE: &str = "STANDPIPE_SERVICES_DIR";

/// The directory that the servers' homes lie in: `services` below the build's target, where the servers' account can reach it.
pub(super) fn find(account: &Account) -> Result<PathBuf, Unavailable> {
    if !Path::new("/proc/self/stat").exists() {
        return Err(Unavailable::new("the servers are told apart by /proc, which this system has not"));
    }
    let given = env::var_os(VARIABLE).map(PathBuf::from);
    let wanted = given.clone().unwrap_or_else(|| data::target_dir().join("services"));
    let wanted = std::path::absolute(&wanted).map_err(Unavailable::at(&wanted))?;
    let Some(closed) = account.closed(&wanted) else { return Ok(wanted) };
    let why = format!("{} is closed to the account that the servers run as", closed.display());
    if given.is_some() {
        return Err(Unavailable::new(format!("{VARIABLE}: {why}")));
    }
    let other = env::temp_dir().join(format!("standpipe-services-{:016x}", digest(&wanted)));
    if let Some(closed) = account.closed(&other) {
        return Err(Unavailable::new(format!("{why}, and so is {}", closed.display())));
    }
    Ok(other)
}

/// Makes the directory. In a place where everybody may write, somebody else's directory is refused.
pub(super) fn make(root: &Path) -> Result<(), Unavailable> {
    let failed = Unavailable::at(root);
    fs::create_dir_all(root).map_err(&failed)?;
    let about = fs::symlink_metadata(root).map_err(&failed)?;
    if !about.is_dir() || about.uid() != geteuid().as_raw() {
        return Err(Unavailable::new(format!("{}: it is not a directory of ours", root.display())));
    }
    open(root)
}

/// Lets everybody pass, whatever the developer's mask is. What is secret inside has modes of its own.
pub(super) fn open(dir: &Path) -> Result<(), Unavailable> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).map_err(Unavailable::at(dir))
}

/// What should be known of figures that are taken there.
pub(crate) fn remark(dir: &Path) -> &'static str {
    const TMPFS: u64 = 0x0102_1994;
    let is_memory = rustix::fs::statfs(dir).is_ok_and(|about| u64::try_from(about.f_type) == Ok(TMPFS));
    if is_memory { ", which lies in memory: a sync costs nothing there" } else { "" }
}

/// FNV-1a: the same for every version of the compiler, so that the next run finds what this one left.
fn digest(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
