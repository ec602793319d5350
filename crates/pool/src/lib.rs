#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod drain;
mod lease;
mod loan;
mod pool;
mod pooled;
mod settings;
mod shared;
mod state;
mod status;
mod wait;

pub use lease::PoolLease;
pub use pool::Pool;
pub use settings::Settings;
pub use status::Status;
