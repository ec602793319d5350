use std::path::Path;

use standpipe_log::LogError;

/// What a sync on a file system comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileSystem {
    /// Nothing is known against it.
    Local,
    /// It is memory: a sync does nothing, and nothing survives power loss.
    Memory,
    /// It is another machine's.
    Remote(&'static str),
}

#[cfg(target_os = "linux")]
pub(super) fn file_system(place: &Path) -> FileSystem {
    // As in the kernel's magic.h.
    const MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
    const REMOTE: [(u64, &str); 6] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x0102_1997, "9P"),
        (0x0bd0_0bd0, "Lustre"),
    ];
    let Ok(told) = rustix::fs::statfs(place) else { return FileSystem::Local };
    let kind = told.f_type as u64 & 0xffff_ffff;
    if MEMORY.contains(&kind) {
        return FileSystem::Memory;
    }
    let remote = REMOTE.iter().find(|(magic, _)| *magic == kind);
    remote.map_or(FileSystem::Local, |(_, name)| FileSystem::Remote(name))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn file_system(_: &Path) -> FileSystem {
    FileSystem::Local
}

/// Refuses where there is less room than this.
pub(super) fn check_room(place: &Path, bytes: u64) -> Result<(), LogError> {
    let told = rustix::fs::statvfs(place)
        .map_err(|error| LogError::io(format!("looking at {}", place.display()), error.into()))?;
    let free = told.f_bavail.saturating_mul(told.f_frsize);
    if free >= bytes {
        return Ok(());
    }
    let (free, needed) = (free >> 20, bytes >> 20);
    Err(LogError::Full {
        what: format!("measuring needs {needed} MiB for a moment, {} has {free} MiB free", place.display()),
    })
}
