//! What `--set key=value` changes: every setting of every crate, laid over the crate's own defaults. A workload that
//! needs another value than the default hands its own in (`sink_over`); what was set on the command line wins over both.

mod keys;
mod policy;
mod pool;
mod sink;
mod sqlite;
mod stream;
#[cfg(test)]
mod tests;
mod value;
mod wal;

pub use keys::KEYS;
pub use policy::{policy, policy_over};
pub use pool::{pool, pool_over};
pub use sink::{sink, sink_over};
pub use sqlite::sqlite;
pub use stream::{lanes, mode};
pub use value::endless;
pub use wal::{wal, wal_over};
