//! What was measured, with everything that a reader needs to believe it: one JSON file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use standpipe_harness::{Better, Kind, Listed, Sample, Second};

use super::machine::Machine;
use crate::{Outcome, data};

/// The version of the file's format; another one is refused by name.
const FORMAT: u32 = 1;

/// No figure is larger.
const VALUE_MAX: f64 = 1e18;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) format: u32,
    /// Seconds since 1970.
    pub(crate) made_at_s: u64,
    pub(crate) commit: Commit,
    pub(crate) machine: Machine,
    /// `quick`, `full` or `once`.
    pub(crate) scale: String,
    pub(crate) span_ms: u64,
    /// What was set, as `key=value`.
    pub(crate) settings: Vec<String>,
    pub(crate) results: Vec<Measured>,
}

/// What was measured of one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) workload: String,
    pub(crate) group: String,
    pub(crate) measures: String,
    pub(crate) revision: u32,
    pub(crate) figures: Vec<Series>,
    /// Of the last round.
    #[serde(default)]
    pub(crate) timeline: Vec<Second>,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
}

/// One figure, round by round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) kind: Kind,
    pub(crate) better: Better,
    pub(crate) values: Vec<f64>,
}

/// What was built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) subject: String,
    /// Whether the tree held changes that no commit has.
    pub(crate) dirty: bool,
}

impl Record {
    /// An empty one of now and here.
    pub(crate) fn begin(place: &Path, scale: &str, span_ms: u64, settings: &[String]) -> Self {
        let made_at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (commit, machine) = (Commit::here(), Machine::here(place));
        let (scale, settings) = (scale.to_owned(), settings.to_vec());
        Record { format: FORMAT, made_at_s, commit, machine, scale, span_ms, settings, results: Vec::new() }
    }

    /// Adds a round's sample.
    pub(crate) fn add(&mut self, workload: &Listed, sample: Sample) {
        let index = self.results.iter().position(|one| one.workload == workload.name);
        let index = index.unwrap_or_else(|| {
            self.results.push(Measured::of(workload));
            self.results.len() - 1
        });
        self.results[index].add(sample);
    }

    /// Reads a file, and refuses formats that it does not know.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let record: Record =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if record.format != FORMAT {
            return Err(format!("{}: format {}, not {FORMAT}", path.display(), record.format));
        }
        record.checked().map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Outcome {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(&error))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        }
        let new = beside(path);
        fs::write(&new, text).and_then(|()| fs::rename(&new, path)).map_err(|error| failed(&error))
    }

    /// Whether a record could be written there.
    pub(crate) fn check_place(path: &Path) -> Outcome {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        if path.is_dir() {
            return Err(format!("{}: it is a directory", path.display()));
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let new = beside(path);
        fs::write(&new, "").and_then(|()| fs::remove_file(&new)).map_err(failed)
    }

    /// Refuses what no run of ours has written.
    fn checked(self) -> Result<Self, String> {
        if self.span_ms > 7_200_000 {
            return Err(format!("a span of {} ms", self.span_ms));
        }
        for measured in &self.results {
            for series in &measured.figures {
                let is_odd =
                    |value: &f64| !value.is_finite() || value.abs() > VALUE_MAX || value.is_subnormal();
                if series.values.is_empty() || series.values.iter().any(is_odd) {
                    return Err(format!(
                        "{} {}: values that nothing measures",
                        measured.workload, series.name
                    ));
                }
            }
        }
        Ok(self)
    }
}

/// A name for the file while it is written, which nobody else has.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

impl Measured {
    pub(crate) fn of(workload: &Listed) -> Self {
        Measured {
            workload: workload.name.clone(),
            group: workload.group.clone(),
            measures: workload.measures.clone(),
            revision: workload.revision,
            figures: Vec::new(),
            timeline: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        for figure in sample.figures {
            match self.figures.iter_mut().find(|series| series.name == figure.name) {
                Some(series) => series.values.push(figure.value),
                None => self.figures.push(Series {
                    name: figure.name,
                    unit: figure.unit,
                    kind: figure.kind,
                    better: figure.better,
                    values: vec![figure.value],
                }),
            }
        }
        if !sample.timeline.is_empty() {
            self.timeline = sample.timeline;
        }
        for note in sample.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        for key in sample.settings_unused {
            let note = format!("--set {key} does nothing here");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// The figure of this name.
    pub(crate) fn series(&self, name: &str) -> Option<&Series> {
        self.figures.iter().find(|series| series.name == name)
    }
}

impl Commit {
    fn here() -> Self {
        let git = |arguments: &[&str]| {
            let output = Command::new("git")
                .args(arguments)
                .current_dir(data::root())
                .stderr(Stdio::null())
                .output()
                .ok()
                .filter(|output| output.status.success())?;
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        Commit {
            id: git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned()),
            subject: git(&["log", "-1", "--format=%s"]).unwrap_or_default(),
            dirty: git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty()),
        }
    }
}
