use std::{
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use standpipe_harness::{Context, Figure, Outcome, Sample, Workload};

use super::{LOAD_COMMAND, PSQL, clock::Clock, data::Flights, load, server::Server};
use crate::comparison::Comparison;

/// How often a child's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

pub(crate) fn workloads() -> Vec<Workload> {
    let work =
        "flights.csv (19 columns) into a table that is there, the whole command, start and exit included";
    Comparison::new("targets.load", work)
        .with("standpipe", "`standpipe load FILE`, at its defaults: exactly once", |context| {
            run(context, standpipe_load)
        })
        .with("psql-copy", "`psql -c '\\copy .. FROM FILE CSV HEADER'`: one transaction", |context| {
            run(context, psql)
        })
        .workloads()
}

fn run(context: &Context, command: fn(&Context, &str, &Path) -> Outcome<Command>) -> Outcome<Sample> {
    let flights = Flights::read(context)?;
    let file = context.dir("data")?.join("flights.csv");
    flights.write(&file)?;
    let mut peak_kib = 0;
    let sample = load::repeat(context, &flights.create("flights", ""), |server, clock| {
        let mut command = command(context, &server.url(), &file)?;
        peak_kib = peak_kib.max(whole(&mut command, server, clock)?);
        Ok(flights.rows())
    })?;
    Ok(match peak_kib {
        0 => sample,
        _ => sample.with(Figure::memory("peak_resident", peak_kib as f64 / 1024.0, "MiB")),
    })
}

fn standpipe_load(context: &Context, url: &str, file: &Path) -> Outcome<Command> {
    let key = LOAD_COMMAND.name;
    let program = context.settings.text(key);
    let program =
        program.ok_or_else(|| format!("it needs the command: --set {key}=target/release/standpipe"))?;
    let mut command = Command::new(program);
    command.arg("load").arg(file).args(["--to", url, "--table", "flights", "--progress", "none"]);
    Ok(command)
}

fn psql(context: &Context, url: &str, file: &Path) -> Outcome<Command> {
    let mut command = Command::new(context.settings.text(PSQL.name).unwrap_or("psql"));
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c"]);
    command.arg(format!("\\copy flights from '{}' with (format csv, header)", file.display()));
    Ok(command)
}

/// Runs a command to its end. Returns the most memory that it had, in KiB.
pub(super) fn whole(command: &mut Command, server: &Server, clock: &mut Clock) -> Outcome<u64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    clock.start()?;
    let mut child = command.spawn()?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = resident_peak_kib(child.id()).unwrap_or(peak_kib);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(LOOK_EVERY);
    };
    clock.stop_time()?;
    // What the server still has to do for a client that is gone counts as its work.
    server.alone()?;
    clock.stop()?;
    if status.success() {
        return Ok(peak_kib);
    }
    let said = std::io::read_to_string(child.stderr.take().ok_or("the child's messages are piped")?)?;
    Err(format!("{} ended with {status}: {}", command.get_program().display(), said.trim()).into())
}

/// The kernel's own high-water mark; it only rises, so the last reading before the end is all but the peak.
fn resident_peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
