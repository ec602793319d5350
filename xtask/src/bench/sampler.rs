//! One sample of one workload, from one build: a process of its own each time.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use standpipe_harness::{Driver, Figure, Listed, Sample, Scale};

use super::{build::Build, interrupt};

/// How samples are taken.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    /// Where the workloads' files go.
    pub(crate) scratch: PathBuf,
    /// How much is asked.
    pub(crate) scale: Scale,
    /// How long each measures.
    pub(crate) span: Duration,
    /// `key=value`.
    pub(crate) set: Vec<String>,
}

impl Sampler {
    /// Takes one.
    pub(crate) fn sample(&self, build: &Build, workload: &Listed) -> Result<Sample, String> {
        interrupt::check()?;
        match workload.driver {
            Driver::Scenario => self.scenario(&build.bench, &workload.name),
            Driver::Criterion => self.criterion(build, &workload.name),
        }
    }

    /// One sample of a program of workloads.
    pub(crate) fn scenario(&self, program: &std::path::Path, workload: &str) -> Result<Sample, String> {
        let mut command = Command::new(program);
        command.args(["sample", workload, "--scratch"]).arg(&self.scratch);
        command.args(["--span", &format!("{}us", self.span.as_micros()), "--scale", self.scale_name()]);
        for pair in &self.set {
            command.args(["--set", pair]);
        }
        let output = self.output(&mut command)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(match said.trim() {
                "" => format!("{workload}: ended with {}", output.status),
                said => said.to_owned(),
            });
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{workload}: {error}"))
    }

    /// Criterion measures one iteration's time again and again; the median of one run of it is the sample.
    fn criterion(&self, build: &Build, workload: &str) -> Result<Sample, String> {
        let home = self.scratch.join("criterion");
        let mut command = Command::new(&build.micro);
        command.args(["--bench", "--exact", workload, "--noplot", "--quiet", "--sample-size", "10"]);
        command.args(["--warm-up-time", &format!("{:.3}", self.span.as_secs_f64() / 5.0)]);
        command.args(["--measurement-time", &format!("{:.3}", self.span.as_secs_f64())]);
        command.env("CRITERION_HOME", &home);
        let output = self.output(&mut command)?;
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            return Err(format!("{workload}: criterion ended with {}: {}", output.status, said()));
        }
        let path = home.join(workload).join("new/estimates.json");
        let text = fs::read_to_string(&path).map_err(|error| format!("{workload}: {error}: {}", said()))?;
        let estimates: Value = serde_json::from_str(&text).map_err(|error| format!("{workload}: {error}"))?;
        let median_ns = estimates["median"]["point_estimate"].as_f64();
        let median_ns = median_ns.ok_or_else(|| format!("{workload}: criterion gave no median"))?;
        fs::remove_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
        let mut sample = Sample::of([Figure::latency_us("time", median_ns / 1e3)]);
        // It takes no settings.
        let keys = self.set.iter().filter_map(|pair| pair.split_once('='));
        sample.settings_unused = keys.map(|(key, _)| key.trim().to_owned()).collect();
        Ok(sample)
    }

    /// Temporary files, too, are on the filesystem that is measured, and go when the scratch directory goes.
    fn output(&self, command: &mut Command) -> Result<Output, String> {
        command.env("TMPDIR", &self.scratch).stdout(Stdio::piped()).stderr(Stdio::piped());
        interrupt::output(command)
    }

    pub(crate) fn scale_name(&self) -> &'static str {
        match self.scale {
            Scale::Once => "once",
            Scale::Quick => "quick",
            Scale::Full => "full",
        }
    }
}
