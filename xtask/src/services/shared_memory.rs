use std::{fs, path::Path, process::Command};

/// Removes the System V segment that a killed PostgreSQL left, as its next start on the same data would.
///
/// All else that it shares lies in its own mappings and files: the servers are configured so.
pub(super) fn remove_left(data: &Path) -> Result<(), String> {
    let Some((key, id)) = segment(data) else { return Ok(()) };
    let all = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let is_there = all.lines().any(|line| {
        let mut columns = line.split_whitespace();
        let is_it = columns.next() == Some(&key) && columns.next() == Some(&id);
        // The mode, the size, two processes, and how many are attached.
        is_it && columns.nth(4) == Some("0")
    });
    if !is_there {
        return Ok(());
    }
    let output = Command::new("ipcrm").args(["-m", &id]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("ipcrm -m {id}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("shared memory segment {id} of a killed server is left: ipcrm: {error}")),
    }
}

/// Key and number of the segment, from the server's own file.
pub(super) fn segment(data: &Path) -> Option<(String, String)> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let mut words = text.lines().nth(6)?.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.to_owned()))
}
