#![doc = include_str!("../README.md")]
#![deny(unsafe_code, unsafe_op_in_unsafe_fn)]

mod acquire;
mod batch;
mod budget;
mod buffer;
mod clock;
mod error;
mod feed;
#[expect(unsafe_code, reason = "lanes are their own list, so posting one allocates nothing")]
mod inbox;
mod index;
mod lane;
#[cfg(all(test, loom))]
mod lane_models;
mod lanes;
mod meter;
#[cfg(all(test, loom))]
mod models;
mod park;
mod permit;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod policy;
mod pressure;
mod producer;
#[expect(
    unsafe_code,
    reason = "measured: a lock-free push; each block has its argument, loom and Miri check them"
)]
mod queue;
mod reduce;
mod schedule;
mod shared;
mod sync;
mod taker;
mod takers;
mod time;
mod weight;

pub use acquire::Acquire;
pub use batch::{Items, Reason, Taken};
pub use budget::Budget;
pub use buffer::Buffer;
pub use clock::Clock;
#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use error::{BudgetError, BufferError, PushError};
pub use feed::Feed;
pub use lanes::Lanes;
pub use permit::Permit;
pub use policy::{JoinLimit, Policy};
pub use pressure::Pressure;
pub use producer::Producer;
pub use reduce::{Integer, ReduceError, Reducer};
pub use taker::Taker;
pub use weight::{Weigh, Weight};
