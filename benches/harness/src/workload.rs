use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Context, Outcome, Sample};

/// What takes a sample.
pub type Run = Arc<dyn Fn(&Context) -> Outcome<Sample> + Send + Sync>;

/// One thing that is measured.
#[derive(Clone)]
pub struct Workload {
    /// `group.what`, unique: `log.group.256b.w8`. A contender of a comparison is named after a slash:
    /// `log.durable.w8/raft-engine`.
    pub name: String,
    /// What it measures, in one line.
    pub measures: String,
    /// Whether it is in the quick set.
    pub quick: bool,
    /// Raised when what it measures changes: two builds that disagree are not compared.
    pub revision: u32,
    /// Who drives it.
    pub driver: Driver,
    /// Runs it; unused where criterion drives.
    pub run: Run,
}

/// Who drives a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// The workload's own program.
    Scenario,
    /// Criterion, in the `micro` bench.
    Criterion,
}

impl Workload {
    /// A workload of the quick set.
    pub fn new(
        name: impl Into<String>,
        measures: impl Into<String>,
        run: impl Fn(&Context) -> Outcome<Sample> + Send + Sync + 'static,
    ) -> Self {
        Workload {
            name: name.into(),
            measures: measures.into(),
            quick: true,
            revision: 1,
            driver: Driver::Scenario,
            run: Arc::new(run),
        }
    }

    /// Only in the full set.
    #[must_use]
    pub fn full_only(mut self) -> Self {
        self.quick = false;
        self
    }

    /// What the name begins with.
    #[must_use]
    pub fn group(&self) -> &str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// For `list`.
    #[must_use]
    pub fn listed(&self) -> Listed {
        Listed {
            name: self.name.clone(),
            group: self.group().to_owned(),
            measures: self.measures.clone(),
            quick: self.quick,
            revision: self.revision,
            driver: self.driver,
        }
    }
}

/// A workload as `list` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// What it measures.
    pub measures: String,
    /// Whether it is in the quick set.
    pub quick: bool,
    /// Two builds that disagree are not compared.
    pub revision: u32,
    /// Who drives it.
    pub driver: Driver,
}

/// A place kept in the list for what is not built yet. It counts for nothing and can't be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reserved {
    /// The group's or the workload's name.
    pub name: String,
    /// What it will measure, and with what it comes.
    pub measures: String,
}
