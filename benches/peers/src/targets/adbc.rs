use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use standpipe_harness::{Context, Outcome, Sample, check};

use super::{data::Flights, load};
use crate::sqlite::PYTHON_VENV;

/// An Arrow table in memory, by the script beside the others. It times itself: Python's start and its parsing are outside of the clock.
pub(crate) fn run(context: &Context) -> Outcome<Sample> {
    let name = PYTHON_VENV.name;
    let venv = context.settings.text(name).ok_or_else(|| {
        format!(
            "it needs Python: python3 -m venv VENV; VENV/bin/pip install -r benches/python/requirements.txt; \
             then --set {name}=VENV"
        )
    })?;
    let flights = Flights::read(context)?;
    let file = context.dir("data")?.join("flights.csv");
    flights.write(&file)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/adbc_postgres.py");
    let python = Path::new(venv).join("bin/python3");
    load::repeat(context, &flights.create("flights", ""), |server, clock| {
        let mut child = Command::new(&python)
            .arg("-B")
            .args([&script, &file])
            .arg(server.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                format!("{}: {error}; --set {name} names a virtual environment", python.display())
            })?;
        let mut said = BufReader::new(child.stdout.take().ok_or("the child's output is piped")?);
        let mut asked = child.stdin.take().ok_or("the child's input is piped")?;
        let mut line = String::new();
        said.read_line(&mut line)?;
        check("its first line", line.trim(), "ready")?;
        clock.start()?;
        asked.write_all(b"go\n")?;
        line.clear();
        said.read_line(&mut line)?;
        let fields: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [seconds, used, rows] = fields[..] else { return Err(format!("it printed {line:?}").into()) };
        clock.stop_as(Duration::from_secs_f64(seconds), Duration::from_secs_f64(used))?;
        check("rows", rows as u64, flights.rows())?;
        drop(asked);
        let status = child.wait()?;
        if status.success() { Ok(flights.rows()) } else { Err(format!("Python ended with {status}").into()) }
    })
}
