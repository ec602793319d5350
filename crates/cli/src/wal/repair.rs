use std::{io, ops::ControlFlow};

use serde_json::json;
use standpipe::{
    log::LogError,
    wal::{Identity, RepairSettings, Repaired, repair_dir},
};

use super::{args::RepairArgs, bar::Bar, has_segments, line, no_log, open, report};
use crate::{
    exit::{Exit, Failure},
    load::Interrupt,
    output, size,
};

/// `standpipe wal repair FROM TO`
pub(super) fn run(args: &RepairArgs) -> Result<Exit, Failure> {
    let from = open(&args.from)?;
    let interrupt =
        Interrupt::listen().map_err(|error| Failure::usage(format!("listening for signals: {error}")))?;
    let settings = RepairSettings {
        identity: if args.new_identity { Identity::New } else { Identity::Kept },
        ..RepairSettings::default()
    };
    let repaired = {
        let bar = Bar::start();
        repair_dir(&args.from, &args.to, &settings, &mut |progress| match interrupt.asked() {
            true => ControlFlow::Break(()),
            false => bar.show(progress),
        })
    };
    let repaired = match repaired {
        Ok(repaired) => repaired,
        Err(LogError::Invalid(_)) if !has_segments(&from) => return Err(no_log(&from, &args.from)),
        Err(error) => return Err(refused(args, &error)),
    };
    if args.json {
        output::say(summary_json(args, &repaired));
    } else {
        tell(args, &repaired);
    }
    Ok(if repaired.is_lossless() { Exit::Applied } else { Exit::Corrupt })
}

fn refused(args: &RepairArgs, error: &LogError) -> Failure {
    let (from, to) = (args.from.display(), args.to.display());
    match error {
        LogError::Io { error, .. } if error.kind() == io::ErrorKind::Interrupted => Failure::new(
            Exit::Interrupted,
            format!("interrupted: nothing is at {to}, and {from} is as it was"),
        ),
        LogError::InUse { place } => Failure::usage(format!(
            "{place}: in use by another process; end that first, so that the copy is of all there is"
        )),
        LogError::Full { what } => Failure::usage(format!(
            "{to}: {what}; make room, or name a place on another disk. {from} is as it was"
        )),
        LogError::Corrupt { .. } => {
            let what = "nothing was written. Bring the directory back from a copy";
            Failure::new(Exit::Corrupt, format!("{from}: {error}; {what}"))
        }
        error => Failure::usage(format!("{error}. {from} is as it was")),
    }
}

fn tell(args: &RepairArgs, repaired: &Repaired) {
    let (from, to) = (args.from.display(), args.to.display());
    for damage in &repaired.damage {
        output::say(line(damage));
    }
    if let standpipe::wal::TailReport::Torn(_) = repaired.tail {
        output::say(format!("{}: it was never acknowledged, and is left out", report::tail(repaired.tail)));
    }
    output::say(format!(
        "{to}: {} records of {} and {} pins; first record {}, next record {}",
        size::count(repaired.records),
        size::human(repaired.data_bytes),
        size::count(repaired.pins),
        repaired.start.map_or("-".to_owned(), |lsn| size::count(lsn.number())),
        size::count(repaired.next.number()),
    ));
    output::say(lost(repaired));
    if repaired.id == repaired.original {
        output::say(format!(
            "it has the identity of {from}, {}: put that directory away and use the copy in its place, never both",
            repaired.id
        ));
    } else {
        output::say(format!(
            "it has an identity of its own, {}: a ledger that knows {} takes it for another log",
            repaired.id, repaired.original
        ));
    }
}

fn lost(repaired: &Repaired) -> String {
    if repaired.is_lossless() {
        return "nothing is lost".to_owned();
    }
    let lost: Vec<_> = repaired.damage.iter().filter_map(|damage| damage.lost).collect();
    let bytes: u64 = repaired.damage.iter().map(|damage| damage.bytes).sum();
    let known: Option<u64> = lost.iter().map(standpipe::wal::Lost::count).sum();
    let records = match known {
        Some(0) => "no record".to_owned(),
        Some(1) => "1 record".to_owned(),
        Some(records) => format!("at most {} records", size::count(records)),
        None => "records, nobody can say how many".to_owned(),
    };
    let pins = if repaired.has_stale_pins { "; pins may be older than they were" } else { "" };
    let bytes = size::human(bytes);
    format!("lost: {records}, in {} of {bytes} that cannot be read{pins}", places(repaired.damage.len()))
}

fn places(count: usize) -> String {
    if count == 1 { "1 place".to_owned() } else { format!("{count} places") }
}

fn summary_json(args: &RepairArgs, repaired: &Repaired) -> serde_json::Value {
    json!({
        "from": args.from.to_string_lossy(),
        "to": args.to.to_string_lossy(),
        "log": repaired.id.to_string(),
        "original": repaired.original.to_string(),
        "records": repaired.records,
        "data_bytes": repaired.data_bytes,
        "pins": repaired.pins,
        "start_lsn": repaired.start.map(|lsn| lsn.number()),
        "next_lsn": repaired.next.number(),
        "lossless": repaired.is_lossless(),
        "stale_pins": repaired.has_stale_pins,
        "tail": report::tail_json(repaired.tail),
        "damage": repaired.damage.iter().map(report::damage_json).collect::<Vec<_>>(),
    })
}
