use std::path::Path;

use standpipe_core::Finding;

/// Whether the file lies on a file system of another machine.
#[cfg(target_os = "linux")]
pub(crate) fn finding(path: &Path) -> Option<Finding> {
    use standpipe_core::FindingLevel;

    // As in the kernel's magic.h.
    const REMOTE: [(u64, &str); 6] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x0102_1997, "9P"),
        (0x0bd0_0bd0, "Lustre"),
    ];
    let kind = rustix::fs::statfs(path).ok()?.f_type as u64 & 0xffff_ffff;
    let (_, name) = REMOTE.iter().find(|(magic, _)| *magic == kind)?;
    let message = format!(
        "the file is on {name}: locks and the shared memory of a write-ahead log do not reach other machines; \
         use the database from one machine only, or move it to a local disk"
    );
    Some(Finding::new(FindingLevel::Broken, "file system", message))
}

/// Nothing is known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn finding(_: &Path) -> Option<Finding> {
    None
}
