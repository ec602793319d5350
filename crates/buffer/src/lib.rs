#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

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
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod policy;
mod pressure;
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
pub use taker::Taker;
pub use weight::{Weigh, Weight};
