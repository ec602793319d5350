use std::path::Path;

use standpipe::{
    log::LogError,
    wal::{Dir, Inspection, TailReport, inspect, verify},
};

use crate::{
    args::{WalArgs, WalCommand},
    exit::{Exit, Failure},
    output, size,
};

/// `standpipe wal inspect|verify DIR`
pub(crate) fn run(args: &WalArgs) -> Result<Exit, Failure> {
    match &args.command {
        WalCommand::Inspect { dir } => {
            let found = inspect(&open(dir)?).map_err(|error| failed(dir, error))?;
            show(dir, &found);
            damaged(dir, &found)
        }
        WalCommand::Verify { dir } => {
            let found = verify(&open(dir)?).map_err(|error| failed(dir, error))?.inspection;
            let frames: u64 = found.segments.iter().map(|segment| segment.frames).sum();
            let records: u64 = found.segments.iter().map(|segment| segment.records).sum();
            output::say(format!(
                "{}: {} segments, {} frames, {} records, {} checked; {}",
                dir.display(),
                found.segments.len(),
                size::count(frames),
                size::count(records),
                size::human(found.checked_bytes),
                tail(found.tail)
            ));
            damaged(dir, &found)
        }
    }
}

fn open(dir: &Path) -> Result<Dir, Failure> {
    if !dir.is_dir() {
        return Err(Failure::usage(format!("{}: no such directory; give a log's directory", dir.display())));
    }
    Dir::open(dir).map_err(|error| failed(dir, LogError::io("opening it", error)))
}

fn failed(dir: &Path, error: LogError) -> Failure {
    Failure::from(error).at(dir.display())
}

fn show(dir: &Path, found: &Inspection) {
    match &found.id {
        Some(id) => output::say(format!("log {id} in {}", dir.display())),
        None => output::say(format!("{} holds no log", dir.display())),
    }
    let rows: Vec<Vec<String>> = found
        .segments
        .iter()
        .map(|segment| {
            vec![
                segment.name.clone(),
                segment.version.to_string(),
                size::count(segment.base.number()),
                size::count(segment.end.number()),
                size::count(segment.frames),
                size::count(segment.records),
                size::human(segment.used_bytes),
                format!("{:.0}%", segment.used_bytes as f64 * 100.0 / segment.allocated_bytes.max(1) as f64),
                if segment.is_sealed { "sealed" } else { "open" }.to_owned(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header =
            ["segment", "version", "first lsn", "end lsn", "frames", "records", "used", "full", "state"];
        output::say(output::table(&header, &rows));
    }
    output::say(format!(
        "records {} to {}; {} pins; {}",
        found.start.map_or("-".to_owned(), |lsn| size::count(lsn.number())),
        found.end.map_or("-".to_owned(), |lsn| size::count(lsn.number())),
        found.pins,
        tail(found.tail)
    ));
}

fn tail(tail: TailReport) -> String {
    match tail {
        TailReport::Closed => "closed properly".to_owned(),
        TailReport::Open => "not closed: in use, or left by a crash".to_owned(),
        TailReport::Torn(offset) => {
            format!("an unfinished write at byte {offset} of the last segment, which opening the log cuts")
        }
        _ => "of a state that this command does not know".to_owned(),
    }
}

fn damaged(dir: &Path, found: &Inspection) -> Result<Exit, Failure> {
    if found.damage.is_empty() {
        return Ok(Exit::Applied);
    }
    for damage in &found.damage {
        output::say(format!(
            "{} byte {}, record {}: {}",
            damage.segment, damage.offset, damage.lsn, damage.what
        ));
    }
    Err(Failure::new(
        Exit::Corrupt,
        format!(
            "{}: damaged in {} places; restore the directory from a copy, or keep it for repair: nothing was changed",
            dir.display(),
            found.damage.len()
        ),
    ))
}
