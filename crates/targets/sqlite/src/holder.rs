//! Who holds the write lock of a database, as far as the system tells.

use std::path::Path;

/// "process 4711 (sqlite3)", or `None` where it cannot be known.
#[cfg(target_os = "linux")]
pub(crate) fn of(path: &Path) -> Option<String> {
    use std::{fs, os::unix::fs::MetadataExt};

    // The byte that a writer locks: in the -shm file of a write-ahead log, in the database itself without one.
    const WAL_WRITE: u64 = 120;
    const RESERVED: u64 = 0x4000_0001;
    const READS_MAX: u32 = 3;

    let mut shm = path.as_os_str().to_owned();
    shm.push("-shm");
    let inode = |path: &Path| fs::metadata(path).ok().map(|found| found.ino());
    let places = [(inode(Path::new(&shm)), WAL_WRITE), (inode(path), RESERVED)];
    // The list is read in pieces, and what moves between two of them may be missed.
    let pid = (0..READS_MAX).find_map(|_| {
        let locks = fs::read_to_string("/proc/locks").ok()?;
        places.iter().find_map(|(inode, byte)| pid_of(&locks, (*inode)?, *byte))
    })?;
    if pid == std::process::id() {
        return Some("another connection of this process".to_owned());
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(match name.trim() {
        "" => format!("process {pid}"),
        name => format!("process {pid} ({name})"),
    })
}

/// Nothing is known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of(_: &Path) -> Option<String> {
    None
}

/// The process that holds a write lock on a byte of a file. A line of the list is, after its number, `POSIX ADVISORY
/// WRITE 4711 fe:01:131 120 120`; one that waits has `->` before the kind.
#[cfg(target_os = "linux")]
fn pid_of(locks: &str, inode: u64, byte: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (_kind, _advisory, mode) =
            (words.next().filter(|kind| *kind != "->")?, words.next()?, words.next()?);
        let pid = words.next()?.parse::<u32>().ok().filter(|pid| *pid != 0)?;
        let found: u64 = words.next()?.rsplit(':').next()?.parse().ok()?;
        let start: u64 = words.next()?.parse().ok()?;
        let end: u64 = match words.next()? {
            "EOF" => u64::MAX,
            end => end.parse().ok()?,
        };
        (mode == "WRITE" && found == inode && (start..=end).contains(&byte)).then_some(pid)
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::pid_of;

    #[test]
    fn the_holder_of_the_byte_is_found_and_not_the_one_who_waits() {
        let locks = "1: POSIX  ADVISORY  READ 10 fe:01:77 120 120\n\
                     2: POSIX  ADVISORY  WRITE 11 fe:01:77 123 127\n\
                     3: POSIX  ADVISORY  WRITE 12 fe:01:78 120 120\n\
                     4: POSIX  ADVISORY  WRITE 13 fe:01:77 120 120\n\
                     4: -> POSIX  ADVISORY  WRITE 14 fe:01:77 120 120\n\
                     5: FLOCK  ADVISORY  WRITE 15 fe:01:79 0 EOF\n";
        assert_eq!(pid_of(locks, 77, 120), Some(13));
        assert_eq!(pid_of(locks, 79, 1), Some(15));
        assert_eq!(pid_of(locks, 80, 120), None);
    }
}
