use std::{path::Path, process::Command};

use standpipe_harness::{Context, Figure, Outcome, Sample, check};

use super::{PYTHON_VENV, UNIT, flights::Flights};

/// Runs a script of benches/python, which repeats the load and times itself, and looks at what it loaded.
pub(crate) fn run(context: &Context, script: &str) -> Outcome<Sample> {
    let name = PYTHON_VENV.name;
    let venv = context.settings.text(name).ok_or_else(|| {
        format!(
            "it needs Python: python3 -m venv VENV; VENV/bin/pip install -r benches/python/requirements.txt; \
             then --set {name}=VENV"
        )
    })?;
    let python = Path::new(venv).join("bin/python3");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python").join(script);
    let place = context.dir("load")?;
    let (csv, database) = (place.join("flights.csv"), place.join("flights.db"));
    let flights = Flights::read(context)?;
    flights.write(&csv)?;
    let output = Command::new(&python)
        .arg("-B")
        .arg(script)
        .arg(csv)
        .arg(&database)
        .arg(context.span.as_secs_f64().to_string())
        .output()
        .map_err(|error| {
            format!("{}: {error}; --set {name} names a virtual environment", python.display())
        })?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let said = String::from_utf8(output.stdout)?;
    let (seconds, rows) = said.trim().split_once(' ').ok_or_else(|| format!("it printed {said:?}"))?;
    let (seconds, rows): (f64, u64) = (seconds.parse()?, rows.parse()?);
    let loads = rows / flights.rows.len() as u64;
    check("rows loaded", rows, loads.max(1) * flights.rows.len() as u64)?;
    for number in 0..=loads {
        let mut database = database.clone().into_os_string();
        database.push(format!("-{number}"));
        flights.check(Path::new(&database))?;
    }
    Ok(Sample::of([Figure::throughput(rows as f64, seconds, UNIT)]))
}
