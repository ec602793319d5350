//! What workloads are made of: settings taken from the command line, rows, sinks into real databases.

mod by_median;
pub mod data;
pub mod open_loop;
pub mod pipeline;
pub mod rows;
pub mod settings;
pub mod writer;

pub use by_median::by_median;
pub use open_loop::{OpenLoop, Stage};
pub use pipeline::{Pipeline, Plan, Table};
pub use rows::{Flight, Row, Wide};
pub use settings::KEYS;
pub use writer::Writer;
