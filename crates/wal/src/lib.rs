#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod birth;
mod bytes;
mod committer;
mod crowd;
mod cursor;
mod dir;
mod extent;
mod frame;
mod inspect;
mod lock;
mod open;
#[cfg(not(feature = "planted"))]
mod planted;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
mod queue;
mod reader;
mod record;
mod recovery;
mod scan;
mod segment;
mod settings;
mod shared;
mod ticket;
mod wal;

pub use dir::{Dir, DirFile, DirLock};
pub use inspect::{Damage, Inspection, SegmentReport, TailReport, Verification, inspect, verify};
pub use open::{Recovery, TornTail};
pub use reader::WalReader;
pub use settings::{Durability, Entropy, Settings};
pub use ticket::WalTicket;
pub use wal::Wal;

pub use standpipe_log::{Entry, ErrorKind, Log, LogError, LogId, Lsn, Reader, Record, Ticket};
