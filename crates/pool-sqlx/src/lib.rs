#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod connect;
mod error;
mod lease;
mod pool;
mod roll_back;

pub use connect::SqlxConnect;
pub use error::error_of;
pub use lease::SqlxLease;
pub use pool::SqlxPool;
pub use roll_back::roll_back;
