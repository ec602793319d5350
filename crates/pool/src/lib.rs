#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod close;
mod desk;
mod dial;
mod entry;
mod errands;
mod hooks;
mod lease;
#[cfg(all(test, loom))]
mod loom_tests;
mod meter;
mod pool;
mod queue;
mod rack;
mod random;
mod run;
mod settings;
mod shared;
mod stand;
mod status;
mod sync;
mod timer;
mod told;
mod vet;
mod wait;
mod watch;

#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;

pub use hooks::{HookFuture, Hooked};
pub use lease::PoolLease;
pub use pool::Pool;
pub use settings::Settings;
pub use status::Status;
#[cfg(feature = "tokio")]
pub use timer::TokioTimer;
pub use timer::{Alarm, ThreadTimer, Timer};
