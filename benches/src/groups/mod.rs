//! One file a group; the group's name is the file's.

pub mod batching;
pub mod buffer;
pub mod case;
pub mod checkpoint;
pub mod command;
pub mod component;
pub mod contention;
pub mod latency;
pub mod log;
pub mod memory;
pub mod micro;
pub mod pool;
pub mod selftest;
pub mod throughput;
