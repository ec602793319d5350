use serde::{Deserialize, Serialize};

use crate::{Figure, Latency};

/// What one run of a workload measured. Printed as one line of JSON by the process that ran it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The figures.
    pub figures: Vec<Figure>,
    /// Latency second by second, where the workload keeps it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Second>,
    /// What a reader of the figures should know: a rate that was not reached, for instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Settings that were given and that this workload does not look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings_unused: Vec<String>,
}

/// Latency within one slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the measuring began.
    pub at_s: f64,
    /// Operations that were meant to start in this slice.
    pub operations: u64,
    /// Their median, in microseconds.
    pub p50_us: f64,
    /// Their 99th percentile, in microseconds.
    pub p99_us: f64,
}

impl Sample {
    /// A sample of these figures.
    #[must_use]
    pub fn of(figures: impl Into<Vec<Figure>>) -> Self {
        Sample { figures: figures.into(), ..Sample::default() }
    }

    /// Adds a figure.
    #[must_use]
    pub fn with(mut self, figure: Figure) -> Self {
        self.figures.push(figure);
        self
    }

    /// Adds the percentiles, and the slices of time where they were kept. p50 is judged, and p95 where there
    /// were 1,000 operations; p99, p99.9 and max are told, because so few say little about their rarest.
    #[must_use]
    pub fn with_latency(mut self, latency: &Latency) -> Self {
        self.figures.extend(latency.figures());
        self.timeline.extend(latency.timeline());
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }
}
