//! A small model of the delivery protocol, searched exhaustively.
//!
//! The model is the protocol of claims, branches and outcomes over a log (or a file) and a database, cut down to a
//! few rows, two lanes and two owners. [`explore`] visits every state that any interleaving of their steps and of a
//! bounded number of faults can reach, and checks every invariant in each. Breadth first, so that the first state
//! found wrong is one of the nearest: its trace is a shortest counterexample.
//!
//! A paused owner needs no step of its own: it is an owner that takes no step while others do.
//!
//! A [`Mistake`] plants one wrong line in the protocol, to show that the search would find it.
//!
//! ```
//! use standpipe_testkit::model::{Bounds, Invariant, Mistake, explore};
//!
//! let small = Bounds { rows: 1, restores: 0, ..Bounds::file() };
//! assert!(explore(&small, None).violation.is_none());
//! let found = explore(&small, Some(Mistake::UnconditionalLedgerUpdate)).violation.unwrap();
//! assert_eq!(found.invariant, Invariant::FencedStaysOut);
//! println!("{}", found.trace.join("\n"));
//! ```

mod bounds;
mod database;
mod floor;
mod invariant;
mod mistake;
mod owner;
mod search;
mod source;
mod state;
mod step;

pub use bounds::{Bounds, SourceKind};
pub use invariant::Invariant;
pub use mistake::Mistake;
pub use search::{Counterexample, Outcomes, Report, explore, explore_for};
