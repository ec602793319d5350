//! The `standpipe` command as people run it: a CSV file into a new SQLite table, start and exit included.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use standpipe_harness::{Context, Figure, Outcome, Sample, Scale, Workload, check};

use crate::setup::data::Flights;

/// How often the child's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How the command gets its rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Feed {
    File,
    Stdin,
}

/// The workloads of this group.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    let data = "flights, 19 columns (all 336,776 rows, 60,000 when quick)";
    vec![
        Workload::new(
            "command.load_file",
            format!(
                "`standpipe load FILE --create`, {data}, start and exit included; the most memory resident"
            ),
            |context| run(context, Feed::File, &[]),
        ),
        Workload::new(
            "command.load_stdin",
            format!("`standpipe load -` with a log, {data} from standard input, start and exit included"),
            |context| run(context, Feed::Stdin, &[]),
        ),
        Workload::new(
            "command.load_memory_64mib",
            format!("`standpipe load FILE --memory 64MiB`, {data}, start and exit included"),
            |context| run(context, Feed::File, &["--memory", "64MiB"]),
        )
        .full_only(),
    ]
}

fn run(context: &Context, feed: Feed, more: &[&str]) -> Outcome<Sample> {
    let program = program()?;
    let dir = context.dir("command")?;
    let flights = Flights::write(context, &dir)?;
    let (mut rows, mut seconds, mut peak_mib, mut number) = (0, 0.0, 0.0_f64, 0);
    // The first one warms the page cache; where one is all that is asked for, it counts.
    let mut warming = context.scale > Scale::Once;
    while number == 0 || warming || seconds < context.span.as_secs_f64() {
        let place = dir.join(number.to_string());
        fs::create_dir(&place)?;
        number += 1;
        let load = load(&program, &flights.path, &place, feed, more)?;
        check("rows in the table", count(&place.join("flights.db"))?, flights.rows)?;
        fs::remove_dir_all(&place)?;
        if std::mem::take(&mut warming) {
            continue;
        }
        rows += flights.rows;
        seconds += load.seconds;
        peak_mib = peak_mib.max(load.peak_mib);
    }
    let mut figures = vec![Figure::throughput(rows as f64, seconds, "rows/s")];
    if peak_mib > 0.0 {
        figures.push(Figure::memory("peak_resident", peak_mib, "MiB"));
    }
    Ok(Sample::of(figures).note(format!("{} rows of {}", flights.rows, flights.source)))
}

/// The command that was built together with this program.
fn program() -> Outcome<PathBuf> {
    let own = std::env::current_exe()?;
    let program = own.with_file_name("standpipe");
    if program.exists() {
        Ok(program)
    } else {
        let program = program.display();
        Err(format!(
            "{program} is missing: build it beside this one, with `cargo build --release -p standpipe-cli`"
        )
        .into())
    }
}

struct Load {
    seconds: f64,
    peak_mib: f64,
}

fn load(program: &Path, input: &Path, place: &Path, feed: Feed, more: &[&str]) -> Outcome<Load> {
    let mut command = Command::new(program);
    command.arg("load");
    match feed {
        Feed::File => command.arg(input).stdin(Stdio::null()),
        Feed::Stdin => command.args(["-", "--wal"]).arg(place.join("log")).stdin(File::open(input)?),
    };
    command.arg("--to").arg(format!("sqlite:{}", place.join("flights.db").display()));
    command.args(["--table", "flights", "--create", "--progress", "none"]).args(more);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn()?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = resident_peak_kib(child.id()).unwrap_or(peak_kib);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::park_timeout(LOOK_EVERY);
    };
    let seconds = began.elapsed().as_secs_f64();
    if status.success() {
        return Ok(Load { seconds, peak_mib: peak_kib as f64 / 1024.0 });
    }
    let said = std::io::read_to_string(child.stderr.take().ok_or("the child's messages are piped")?)?;
    Err(format!("standpipe load ended with {status}: {}", said.trim()).into())
}

/// The kernel's own high-water mark; it only rises, so the last reading before the end is all but the peak.
fn resident_peak_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn count(database: &Path) -> Outcome<u64> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let count: i64 = connection.query_row("SELECT count(*) FROM flights", [], |row| row.get(0))?;
    Ok(u64::try_from(count)?)
}
