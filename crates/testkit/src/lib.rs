#![doc = include_str!("../README.md")]
pub mod acquire_suite;
mod block_on;
pub mod history;
pub mod log_suite;
pub mod model;
mod planted_log;
mod poll;
mod random;
mod storage;
pub mod storage_suite;
pub mod target;
pub mod target_suite;
mod vec_log;

pub use acquire_suite::{AcquireFixture, SimConnect};
pub use block_on::{block_on, block_on_for};
pub use history::{History, Summary, Violation};
pub use log_suite::{Crash, LogFixture, MemFixture};
pub use planted_log::{LogPlant, PlantedLog, PlantedReader, PlantedTicket};
pub use random::Random;
pub use storage::{Call, CallKind, Cut, Fault, MemFile, MemLock, MemStorage, PowerGone, SECTOR_BYTES};
pub use storage::{Planted, PlantedFile, StorageMistake};
pub use target::SimTarget;
pub use target_suite::TargetFixture;
pub use vec_log::{LogMistake, VecLog, VecReader, VecStore, VecTicket};
