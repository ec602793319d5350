use std::path::Path;

/// Which file a path leads to, `None` when to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

#[cfg(unix)]
pub(crate) fn of(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;

    let found = std::fs::metadata(path).ok()?;
    Some(Identity { device: found.dev(), inode: found.ino() })
}

/// An open file cannot be replaced here.
#[cfg(not(unix))]
pub(crate) fn of(_: &Path) -> Option<Identity> {
    None
}
