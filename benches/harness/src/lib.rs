//! What every benchmark of standpipe shares. A *workload* is a function that is run in a process of its own, for a
//! stated time, in a stated directory, and gives one *sample*: the figures that it measured, after it has checked its
//! own result. Who runs it again and again, in which order, and who judges the figures is `cargo xtask bench`.

mod allocations;
mod context;
mod figure;
mod latency;
mod memory;
mod open_loop;
mod program;
mod sample;
mod settings;
mod workload;

pub use allocations::{Allocations, Counting};
pub use context::{Context, Scale};
pub use figure::{Better, Figure, Kind};
pub use latency::Latency;
pub use memory::{peak_resident_bytes, resident_bytes};
pub use open_loop::Pace;
pub use program::program;
pub use sample::{Sample, Second};
pub use settings::{Key, Settings, parse_bytes, parse_duration};
pub use workload::{Driver, Listed, Reserved, Run, Workload};

/// What a workload answers with: its figures, or why it has none. A wrong result is an error, however fast it came.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Refuses a result that is not the expected one: `check("rows in the table", found, expected)`.
///
/// # Errors
/// Names both values when they differ.
pub fn check<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Outcome<()> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("wrong result: {what}: {found:?}, expected {expected:?}").into())
    }
}
