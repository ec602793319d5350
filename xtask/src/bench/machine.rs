//! Where something was measured.

use std::{fs, path::Path, process::Command};

use serde::{Deserialize, Serialize};

/// What decides how fast a machine is, as far as it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    /// Of the directory where files were written.
    pub(crate) filesystem: String,
    pub(crate) rustc: String,
}

impl Machine {
    /// This one; `place` is where files go.
    pub(crate) fn here(place: &Path) -> Self {
        let unknown = || "unknown".to_owned();
        Machine {
            cpu: line_of("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: line_of("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib / 1024),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |text| text.trim().to_owned()),
            filesystem: filesystem(place).unwrap_or_else(unknown),
            rustc: Command::new("rustc").arg("--version").output().map_or_else(
                |_| unknown(),
                |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            ),
        }
    }

    /// One line for people.
    pub(crate) fn told(&self) -> String {
        let Machine { cpu, cores, memory_mib, kernel, filesystem, rustc } = self;
        format!(
            "{cpu}, {cores} cores, {} GiB, Linux {kernel}, {filesystem}, {rustc}",
            memory_mib.div_ceil(1024)
        )
    }
}

fn line_of(path: &str, field: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the filesystem with the longest mount point that holds `place`.
fn filesystem(place: &Path) -> Option<String> {
    let place = place.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let holding = mounts.filter(|(point, _)| place.starts_with(point));
    holding.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned())
}
