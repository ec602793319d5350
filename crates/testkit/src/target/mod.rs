//! A database in memory that keeps the promises of a target, and breaks them on demand.

mod branch;
mod call;
mod civil;
mod commit;
mod database;
mod decimal;
mod fault;
mod gate;
mod mistake;
mod server;
mod sim;
mod table;
mod tuple;
mod value;

pub use call::{Call, CallKind};
pub use commit::{Commit, MovedLane};
pub use fault::Fault;
pub use gate::Gate;
pub use mistake::Mistake;
pub use sim::{SimTarget, Snapshot};
pub use table::SimRow;
pub use tuple::{block, tuple};
pub use value::Value;
