use std::path::Path;

use standpipe::{
    log::{LogError, Storage},
    wal::{Damage, ReadOnlyDir},
};

use crate::{
    exit::{Exit, Failure},
    output,
};

mod args;
mod bar;
mod bench;
mod bytes;
mod dump;
mod inspect;
mod repair;
mod report;
mod verify;

use args::WalCommand;
pub(crate) use args::{EXAMPLES, WalArgs};

/// `standpipe wal inspect|verify|dump|repair|bench`
pub(crate) fn run(args: &WalArgs) -> Result<Exit, Failure> {
    match &args.command {
        WalCommand::Inspect(args) => inspect::run(args).and_then(crate::told),
        WalCommand::Verify(args) => verify::run(args).and_then(crate::told),
        WalCommand::Dump(args) => dump::run(args),
        WalCommand::Repair(args) => repair::run(args),
        WalCommand::Bench(args) => bench::run(args),
    }
}

/// The directory of a log, to be looked at.
fn open(dir: &Path) -> Result<ReadOnlyDir, Failure> {
    if !dir.exists() {
        return Err(Failure::usage(format!("{}: no such directory; give a log's directory", dir.display())));
    }
    if !dir.is_dir() {
        let what = "it is no directory; a log is a directory of files such as 00000000000000000001.wal";
        return Err(Failure::usage(format!("{}: {what}", dir.display())));
    }
    let opened = ReadOnlyDir::open(dir).map_err(|error| failed(dir, &LogError::io("opening it", error)))?;
    let misfits = opened.misfits().map_err(|error| failed(dir, &LogError::io("listing it", error)))?;
    for name in misfits {
        output::complain(format!(
            "{}: {name} is no plain file (a symbolic link?) and is passed over, as by the log itself; put the file itself \
             in its place",
            dir.display()
        ));
    }
    Ok(opened)
}

/// Whether a file has the name of a segment: 20 digits and `.wal`.
fn has_segments(dir: &ReadOnlyDir) -> bool {
    let is_segment = |name: &String| {
        name.strip_suffix(".wal")
            .is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    dir.list().is_ok_and(|names| names.iter().any(is_segment))
}

/// Says that there is no log, and what is there instead.
fn no_log(dir: &ReadOnlyDir, place: &Path) -> Failure {
    let names = dir.list().unwrap_or_default();
    let is_young = names.iter().any(|name| name.ends_with(".wal.new"));
    let what = match names.first() {
        _ if is_young => {
            "it holds no log yet: making one was interrupted, and opening it begins anew".to_owned()
        }
        None => "it holds no log: there is no file in it".to_owned(),
        Some(name) => format!(
            "it holds no log: its files ({name}{}) are none of a log, which are called 00000000000000000001.wal and so on",
            if names.len() > 1 { ", .." } else { "" }
        ),
    };
    Failure::usage(format!("{}: {what}", place.display()))
}

/// Damage has an exit code of its own; all else is a log that cannot be read.
fn failed(dir: &Path, error: &LogError) -> Failure {
    let exit = if matches!(error, LogError::Corrupt { .. }) { Exit::Corrupt } else { Exit::Usage };
    Failure::new(exit, error.to_string()).at(dir.display())
}

/// Names every damage, and what to do.
fn damaged(dir: &Path, damage: &[Damage]) -> Failure {
    damage.iter().for_each(|damage| output::say(line(damage)));
    let places = if damage.len() == 1 { "1 place".to_owned() } else { format!("{} places", damage.len()) };
    let dir = dir.display();
    Failure::new(
        Exit::Corrupt,
        format!(
            "{dir}: damaged in {places}; nothing was changed. `standpipe wal repair {dir} NEW-DIRECTORY` copies what is sound \
             and lists what is lost"
        ),
    )
}

fn line(damage: &Damage) -> String {
    let lost = damage.lost.map_or("no record is lost by it".to_owned(), |lost| format!("lost: {lost}"));
    format!("{damage}; {lost}")
}
