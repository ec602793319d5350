use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    client::{Load, Running},
    ground::{Ground, Kind, Logged, await_moment},
    tally::Tally,
};
use crate::{crash::Dice, interrupt};

pub(super) const FULL_DISKS: Kind =
    Kind { name: "full disks", short: "full", disturb: fill_disk, log: Logged::Always };

/// More than the log takes: it is full when something else takes the room.
const DISK: &str = "size=256m";

/// The log's disk is filled while the server does not answer, and freed later. The client waits for room, or ends and names the
/// disk, or is killed meanwhile; what it acknowledged is there in the end.
fn fill_disk(
    ground: &mut Ground,
    load: &Load,
    dice: &mut Dice,
    _left: u32,
    tally: &mut Tally,
) -> Result<(), String> {
    // Half of them with a limit to reach, too.
    let more = if dice.below(2) == 0 { vec!["--wal-max".to_owned(), "16MiB".to_owned()] } else { Vec::new() };
    let load = &Load { more, ..load.clone() };
    let dir = load.log.clone().ok_or("a disk of a log that is not there")?;
    let disk = Disk::mount(&dir)?;
    let proxy = ground.proxy()?;
    let moment = ground.moment(dice, 0.7, true);
    let mut run = ground.start(load, Some(&proxy))?;
    if !await_moment(&mut run, Some(&proxy), moment)? {
        return run.complete();
    }
    let (phase, share) = (proxy.phase(), ground.tables.share(&load.table)?);
    proxy.release();
    ground.server.pause();
    let outcome = fill(&disk, &mut run, dice);
    ground.server.resume();
    let is_killed = outcome?;
    if !is_killed && dice.below(2) == 0 {
        // Time in which the log lets go of what is applied, while the disk is still full.
        run.until(|run| run.runs_for() > ground.whole.took * 3)?;
    }
    disk.free()?;
    tally.event(share, Some(phase));
    let code = if is_killed { None } else { Some(run.wait()?) };
    tally.note(match code {
        None => "killed meanwhile",
        Some(0) => "went on by itself",
        Some(_) if names_disk(&run) => "ended, and named the disk",
        Some(code) => return Err(format!("a run with a full disk ended with {code}: {}", run.text())),
    });
    drop((run, proxy));
    if code != Some(0) {
        ground.start(load, None)?.complete()?;
    }
    Ok(())
}

/// Fills the disk, and lets the client write for a while; tells whether it was killed then.
fn fill(disk: &Disk, run: &mut Running, dice: &mut Dice) -> Result<bool, String> {
    disk.fill()?;
    let until = run.runs_for() + Duration::from_millis(100 + dice.below(600));
    run.until(|run| run.runs_for() > until)?;
    if dice.below(3) > 0 {
        return Ok(false);
    }
    Ok(run.kill()?.is_none())
}

fn names_disk(run: &Running) -> bool {
    let text = run.text();
    ["No space left", "full", "room"].iter().any(|word| text.contains(word))
}

/// Whether file systems can be mounted here, which takes root's rights.
pub(super) fn can_mount(scratch: &Path) -> bool {
    Disk::mount(&scratch.join("mounted")).is_ok()
}

/// A small file system in memory, until it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(dir: &Path) -> Result<Self, String> {
        fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", DISK, "standpipe-crash"]).arg(dir);
        let output = interrupt::output(
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()),
        )?;
        if output.status.success() {
            return Ok(Disk(dir.to_owned()));
        }
        Err(format!("mount: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all that is left.
    fn fill(&self) -> Result<(), String> {
        let path = self.filler();
        let mut file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }

    fn free(&self) -> Result<(), String> {
        fs::remove_file(self.filler()).map_err(|error| format!("{}: {error}", self.0.display()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while somebody is still in it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
