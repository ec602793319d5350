#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod birth;
mod bytes;
mod codec;
mod compress;
mod crowd;
mod cursor;
mod dir;
mod extent;
mod frame;
mod group;
mod inspect;
mod lock;
mod meter;
mod names;
mod open;
mod pen;
#[cfg(not(feature = "planted"))]
mod planted;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
mod queue;
mod reader;
mod record;
mod recovery;
mod remainder;
mod replay;
mod retention;
mod scan;
mod seal;
mod segment;
mod service;
mod settings;
mod shared;
mod supply;
mod ticket;
mod typed;
mod wal;
mod word;

#[cfg(feature = "bincode")]
pub use codec::Bincode;
pub use codec::{Codec, CodecError};
pub use dir::{Dir, DirFile, DirLock};
pub use inspect::{Damage, Inspection, SegmentReport, TailReport, Verification, inspect, verify};
pub use open::{Recovery, TornTail};
pub use reader::WalReader;
pub use replay::{
    Key, Mark, Progress, Recovering, Replay, ReplayError, Replayed, Transacted, Transaction, Unfinished,
};
pub use retention::{Hold, HoldReport};
pub use settings::{Compression, Durability, Entropy, Settings};
pub use ticket::WalTicket;
pub use typed::{Typed, TypedError, TypedReader};
pub use wal::Wal;

pub use standpipe_log::{Entry, ErrorKind, Log, LogError, LogId, Lsn, Reader, Record, Ticket};
