use serde::{Deserialize, Serialize};

/// One measured value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is: `throughput`, `p50`, `peak_resident` ...
    pub name: String,
    /// The value, in `unit`.
    pub value: f64,
    /// `rows/s`, `µs`, `MiB` ...
    pub unit: String,
    /// Which limit it is held against.
    pub kind: Kind,
    /// Which way is better.
    pub better: Better,
}

/// Which limit a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Work a second.
    Throughput,
    /// Time from the intended start to the end.
    Latency,
    /// Bytes held, or allocations made, for the same work.
    Memory,
    /// Told, and never judged: too rare an event, or no cost of ours.
    Told,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

impl Figure {
    /// Work a second: `Figure::throughput(rows, elapsed_s, "rows/s")`.
    #[must_use]
    pub fn throughput(work: f64, seconds: f64, unit: &str) -> Self {
        Figure::new("throughput", work / seconds.max(1e-9), unit, Kind::Throughput, Better::Higher)
    }

    /// A time in microseconds.
    #[must_use]
    pub fn latency_us(name: &str, us: f64) -> Self {
        Figure::new(name, us, "µs", Kind::Latency, Better::Lower)
    }

    /// Memory, or allocations, in a unit of its own.
    #[must_use]
    pub fn memory(name: &str, value: f64, unit: &str) -> Self {
        Figure::new(name, value, unit, Kind::Memory, Better::Lower)
    }

    /// A value that is told and never judged.
    #[must_use]
    pub fn told(name: &str, value: f64, unit: &str) -> Self {
        Figure::new(name, value, unit, Kind::Told, Better::Lower)
    }

    /// Any figure.
    #[must_use]
    pub fn new(name: &str, value: f64, unit: &str, kind: Kind, better: Better) -> Self {
        Figure { name: name.to_owned(), value, unit: unit.to_owned(), kind, better }
    }

    /// The same figure, told and not judged.
    #[must_use]
    pub fn only_told(mut self) -> Self {
        self.kind = Kind::Told;
        self
    }
}
