use std::path::Path;

use standpipe::wal::{Inspection, SegmentReport, inspect};

use super::{args::InspectArgs, bytes::escaped, damaged, failed, no_log, open, report};
use crate::{
    exit::{Exit, Failure},
    output, size,
};

/// How many foreign files are named.
const STRANGERS_MAX: usize = 5;

/// `standpipe wal inspect DIR`
pub(super) fn run(args: &InspectArgs) -> Result<Exit, Failure> {
    let dir = open(&args.dir)?;
    let found = inspect(&dir).map_err(|error| failed(&args.dir, &error))?;
    if found.segments.is_empty() {
        return Err(no_log(&dir, &args.dir));
    }
    if args.json {
        output::say(report::inspection_json(&found, args.values));
        return if found.damage.is_empty() { Ok(Exit::Applied) } else { Ok(Exit::Corrupt) };
    }
    show(&args.dir, &found, args.values);
    if found.damage.is_empty() { Ok(Exit::Applied) } else { Err(damaged(&args.dir, &found.damage)) }
}

fn show(dir: &Path, found: &Inspection, values: bool) {
    let id = found.id.map_or("of an unknown identity".to_owned(), |id| id.to_string());
    let version = found.segments.iter().map(|segment| segment.version).max().unwrap_or(0);
    output::say(format!("log {id} in {}, format version {version}", dir.display()));
    segments(found);
    totals(found);
    pins(found, values);
    if !found.strangers.is_empty() {
        let names = found.strangers.iter().take(STRANGERS_MAX).map(|name| escaped(name.as_bytes()));
        let more = found.strangers.len().saturating_sub(STRANGERS_MAX);
        let names = names.collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        output::say(format!("other files, not looked at: {names}{more}"));
    }
    output::say(format!("end: {}", report::tail(found.tail)));
}

fn segments(found: &Inspection) {
    let row = |segment: &SegmentReport| {
        vec![
            segment.name.clone(),
            size::count(segment.base.number()),
            size::count(segment.end.number()),
            size::count(segment.frames),
            size::count(segment.totals.data_records),
            size::human(segment.used_bytes),
            size::human(segment.allocated_bytes),
            format!("{:.0}%", report::fill(segment) * 100.0),
            report::state(found, segment).to_owned(),
        ]
    };
    let mut rows: Vec<Vec<String>> = found.segments.iter().map(row).collect();
    for file in &found.spares {
        let mut row = vec!["-".to_owned(); 9];
        row[0].clone_from(&file.name);
        row[6] = size::human(file.bytes);
        report::spare(file.kind).clone_into(&mut row[8]);
        rows.push(row);
    }
    let header =
        ["segment", "first lsn", "end lsn", "frames", "records", "used", "reserved", "fill", "state"];
    output::say(output::table(&header, &rows));
}

fn totals(found: &Inspection) {
    let totals = found.totals();
    let sum = |of: fn(&SegmentReport) -> u64| found.segments.iter().map(of).sum::<u64>();
    let (used, reserved) = (sum(|segment| segment.used_bytes), sum(|segment| segment.allocated_bytes));
    output::say(format!(
        "total: {} records of {} in {} frames ({} records a frame); {} used of {} reserved ({:.0}%)",
        size::count(totals.data_records),
        size::human(totals.data_bytes),
        size::count(sum(|segment| segment.frames)),
        totals.records_per_frame().map_or("-".to_owned(), |mean| format!("{mean:.1}")),
        size::human(used),
        size::human(reserved),
        used as f64 * 100.0 / reserved.max(1) as f64,
    ));
    output::say(format!(
        "payloads: {} stored for {} (ratio {}); padding {}",
        size::human(totals.stored_bytes),
        size::human(totals.raw_bytes),
        totals.compression_ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
        size::human(totals.padding_bytes),
    ));
    let number =
        |lsn: Option<standpipe::log::Lsn>| lsn.map_or("-".to_owned(), |lsn| size::count(lsn.number()));
    output::say(format!("first record: {}; next record: {}", number(found.start), number(found.end)));
}

fn pins(found: &Inspection, values: bool) {
    if found.pinned.is_empty() {
        output::say("pins: none");
        return;
    }
    let bytes: u64 = found.pinned.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
    output::say(format!("pins: {} of {}", size::count(found.pins), size::human(bytes)));
    let rows = found.pinned.iter().map(|(key, value)| {
        let mut row = vec![format!("  {}", escaped(key)), size::human(value.len() as u64)];
        if values {
            row.push(escaped(value));
        }
        row
    });
    let header: &[&str] = if values { &["  key", "bytes", "value"] } else { &["  key", "bytes"] };
    output::say(output::table(header, &rows.collect::<Vec<_>>()));
}
