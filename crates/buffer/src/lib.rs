#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod acquire;
mod batch;
mod budget;
mod clock;
mod error;
mod index;
mod lane;
mod lanes;
mod meter;
mod park;
mod permit;
mod policy;
mod pressure;
mod reduce;
mod state;
mod taker;
mod takers;
mod weight;

pub use acquire::Acquire;
pub use batch::{Reason, Taken};
pub use budget::Budget;
pub use clock::Clock;
pub use error::{BudgetError, PushError};
pub use lanes::Lanes;
pub use permit::Permit;
pub use policy::{JoinLimit, Policy};
pub use pressure::Pressure;
pub use reduce::{Integer, ReduceError, Reducer};
pub use taker::Taker;
pub use weight::{Weigh, Weight};
