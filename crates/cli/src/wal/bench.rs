use std::{io, path::Path, time::Duration};

use serde_json::{Value, json};
use standpipe::{
    log::LogError,
    wal::{BENCH_BYTES_MAX, DiskReport, FileSystem, GroupReport, Stage, Times, measure_disk},
};

use super::args::BenchArgs;
use crate::{
    exit::{Exit, Failure},
    load::Interrupt,
    output, size,
};

/// `standpipe wal bench DIR`
pub(super) fn run(args: &BenchArgs) -> Result<Exit, Failure> {
    let place = args.dir.display();
    if !args.dir.is_dir() {
        return Err(Failure::usage(format!(
            "{place}: no such directory; give one on the disk to be measured, which gets a directory for a moment"
        )));
    }
    let interrupt =
        Interrupt::listen().map_err(|error| Failure::usage(format!("listening for signals: {error}")))?;
    if !args.json {
        output::say(format!(
            "measuring {place} for about {} s, with at most {} for the time",
            args.seconds,
            size::human(BENCH_BYTES_MAX)
        ));
    }
    let is_json = args.json;
    let mut told = |stage: Stage| {
        if !is_json {
            output::say(format!("  {}", doing(stage)));
        }
    };
    let span = Duration::from_secs(args.seconds);
    let report = measure_disk(&args.dir, span, interrupt.flag(), &mut told)
        .map_err(|error| refused(&args.dir, &error))?;
    if args.json {
        output::say(report_json(&args.dir, &report));
    } else {
        tell(&report);
    }
    Ok(Exit::Applied)
}

fn refused(dir: &Path, error: &LogError) -> Failure {
    match error {
        LogError::Io { error, .. } if error.kind() == io::ErrorKind::Interrupted => {
            Failure::new(Exit::Interrupted, "interrupted; nothing is left behind")
        }
        error => Failure::usage(error.to_string()).at(dir.display()),
    }
}

fn doing(stage: Stage) -> String {
    match stage {
        Stage::Written => "4 KiB writes, each synced, into a file that was written before".to_owned(),
        Stage::Fresh => "the same into space that was only allocated".to_owned(),
        Stage::Appended => "the same at the end of a file that grows".to_owned(),
        Stage::Group(1) => "a log with 1 writer".to_owned(),
        Stage::Group(writers) => format!("a log with {writers} writers"),
        _ => "something else".to_owned(),
    }
}

fn tell(report: &DiskReport) {
    match report.file_system {
        FileSystem::Memory => {
            output::say("this is memory (tmpfs): a sync does nothing there, and nothing survives power loss");
        }
        FileSystem::Remote(name) => output::say(format!("this is {name}: a log belongs on a local disk")),
        _ => {}
    }
    let times = |times: &Times| [times.p50, times.p95, times.p99, times.max].map(micros);
    let raw = |name: &str, one: &Times| {
        let mut row = vec![name.to_owned(), size::count(one.per_second as u64)];
        row.extend(times(one));
        row
    };
    let header = ["4 KiB and a sync", "a second", "p50 us", "p95 us", "p99 us", "max us"];
    let rows = [
        raw("written before", &report.written),
        raw("allocated", &report.fresh),
        raw("appended", &report.appended),
    ];
    output::say(output::table(&header, &rows));
    let group = |group: &GroupReport| {
        let mut row = vec![group.writers.to_string(), size::count(group.records_per_second as u64)];
        row.extend(times(&group.commits));
        row.push(format!("{:.2}", group.ratio()));
        row
    };
    let header = ["writers", "records/s", "p50 us", "p95 us", "p99 us", "max us", "records per raw sync"];
    output::say(output::table(&header, &report.groups.iter().map(group).collect::<Vec<_>>()));
    if let Some(most) = report.groups.last() {
        output::say(format!(
            "group commit gives {} writers here {:.1} times the durable records that a sync for each would",
            most.writers,
            most.ratio()
        ));
    }
}

fn micros(time: Duration) -> String {
    size::count(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

fn times_json(times: &Times) -> Value {
    let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
    json!({
        "count": times.count,
        "per_second": times.per_second,
        "p50_us": micros(times.p50),
        "p95_us": micros(times.p95),
        "p99_us": micros(times.p99),
        "max_us": micros(times.max),
    })
}

fn report_json(dir: &Path, report: &DiskReport) -> Value {
    let file_system = match report.file_system {
        FileSystem::Memory => "memory",
        FileSystem::Remote(name) => name,
        _ => "local",
    };
    json!({
        "dir": dir.to_string_lossy(),
        "file_system": file_system,
        "raw_4096_bytes": {
            "written": times_json(&report.written),
            "allocated": times_json(&report.fresh),
            "appended": times_json(&report.appended),
        },
        "log": report.groups.iter().map(|group| json!({
            "writers": group.writers,
            "record_bytes": group.record_bytes,
            "records_per_second": group.records_per_second,
            "ratio_to_raw": group.ratio(),
            "commit": times_json(&group.commits),
        })).collect::<Vec<_>>(),
    })
}
