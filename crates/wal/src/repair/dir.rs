use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use standpipe_log::LogError;

use super::{RepairSettings, Repaired, repair};
use crate::{
    dir::{Dir, DirLock},
    inspect::Watch,
    read_only::ReadOnlyDir,
    segment,
    verify::verify_watched,
};

/// What a directory is called until it is whole.
const UNFINISHED: &str = ".repairing";

/// [`repair`] from a directory to one that must be absent or empty. The copy is made beside it, under its name with
/// `.repairing` behind it, read back whole, and then gets its name: what is at `to` is always all there is. What an earlier run left
/// unfinished is removed. Blocks.
///
/// # Errors
/// As [`repair`]; [`LogError::Invalid`] when one directory lies in the other.
pub fn repair_dir(
    from: &Path,
    to: &Path,
    settings: &RepairSettings,
    watch: Watch<'_>,
) -> Result<Repaired, LogError> {
    let source = ReadOnlyDir::open(from)
        .map_err(|error| LogError::io(format!("opening {}", from.display()), error))?;
    let to = free_place(from, to)?;
    let mut name = to.file_name().map_or_else(OsString::new, OsString::from);
    name.push(UNFINISHED);
    let unfinished = to.with_file_name(name);
    clear(&unfinished)?;
    let failed = |doing: &str, error| LogError::io(format!("{doing} {}", unfinished.display()), error);
    let mut copy = || {
        let dir = Dir::open(&unfinished).map_err(|error| failed("making", error))?;
        let repaired = repair(&source, dir, settings, watch)?;
        check(&unfinished, &repaired, watch)?;
        Ok(repaired)
    };
    let repaired = match copy() {
        Ok(repaired) => repaired,
        Err(error) => {
            // The first error is the one to tell.
            let _ = clear(&unfinished);
            return Err(error);
        }
    };
    // In place of an empty directory, in one step.
    fs::rename(&unfinished, &to).map_err(|error| failed("giving its name to", error))?;
    let parent = parent_of(&to);
    let synced = fs::File::open(parent).and_then(|parent| parent.sync_all());
    synced.map_err(|error| LogError::io(format!("syncing {}", parent.display()), error))?;
    Ok(repaired)
}

/// The place for the copy, when nothing is there.
fn free_place(from: &Path, to: &Path) -> Result<PathBuf, LogError> {
    let told = |what: &str| LogError::Invalid(format!("{}: {what}", to.display()));
    match fs::symlink_metadata(to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(LogError::io(format!("looking at {}", to.display()), error)),
        Ok(there) if there.is_dir() => {
            let empty = fs::read_dir(to).map(|mut entries| entries.next().is_none());
            if !empty.map_err(|error| LogError::io(format!("looking into {}", to.display()), error))? {
                return Err(told("it is not empty; name a directory that is not there yet"));
            }
        }
        Ok(_) => return Err(told("something is there that is no directory; name one that is not there yet")),
    }
    let name =
        to.file_name().ok_or_else(|| told("it has no name of its own; name a directory to be made"))?;
    let parent = parent_of(to);
    let whole = |path: &Path| {
        fs::canonicalize(path).map_err(|error| LogError::io(format!("looking for {}", path.display()), error))
    };
    let (from, place) = (whole(from)?, whole(parent)?.join(name));
    if place.starts_with(&from) || from.starts_with(&place) {
        return Err(told("the copy must lie outside of the damaged log, which is left as it is"));
    }
    Ok(place)
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes what an unfinished repair left, and nothing else.
fn clear(unfinished: &Path) -> Result<(), LogError> {
    let failed = |error| LogError::io(format!("clearing {}", unfinished.display()), error);
    match fs::symlink_metadata(unfinished) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(there) if !there.is_dir() => return Err(failed(io::ErrorKind::NotADirectory.into())),
        Ok(_) => {}
    }
    let _owner = DirLock::of(unfinished).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => LogError::InUse { place: unfinished.display().to_string() },
        _ => failed(error),
    })?;
    for entry in fs::read_dir(unfinished).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| {
            let name = name.strip_suffix(".free").unwrap_or(name);
            segment::sequence_of(name).is_some() || segment::is_draft(name)
        });
        if !is_ours {
            return Err(LogError::Invalid(format!(
                "{} holds {}, which no repair left there; move it away, or name another directory for the copy",
                unfinished.display(),
                name.display()
            )));
        }
        fs::remove_file(entry.path()).map_err(failed)?;
    }
    fs::remove_dir(unfinished).map_err(failed)
}

/// Reads the copy back.
fn check(copy: &Path, repaired: &Repaired, watch: Watch<'_>) -> Result<(), LogError> {
    let failed = |error| LogError::io(format!("reading back {}", copy.display()), error);
    let found = verify_watched(&ReadOnlyDir::open(copy).map_err(failed)?, watch)?;
    if let Some(damage) = found.inspection.damage.first() {
        return Err(LogError::Invalid(format!(
            "the copy is damaged as soon as it is made ({damage}): this disk cannot be trusted, name a place on another one"
        )));
    }
    let totals = found.inspection.totals();
    let read = (totals.data_records, totals.data_bytes, found.inspection.pins);
    if read != (repaired.records, repaired.data_bytes, repaired.pins) {
        return Err(LogError::Invalid(format!(
            "the copy reads back as {} records of {} bytes and {} pins; {} of {} bytes and {} were copied",
            read.0, read.1, read.2, repaired.records, repaired.data_bytes, repaired.pins
        )));
    }
    Ok(())
}
