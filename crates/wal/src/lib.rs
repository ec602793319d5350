#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod birth;
mod bytes;
mod codec;
mod committer;
mod crowd;
mod cursor;
mod dir;
mod extent;
mod frame;
mod inspect;
mod lock;
mod open;
mod queue;
mod reader;
mod record;
mod recovery;
mod replay;
mod scan;
mod segment;
mod settings;
mod shared;
mod ticket;
mod typed;
mod wal;

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
pub use settings::{Durability, Entropy, Settings};
pub use ticket::WalTicket;
pub use typed::{Typed, TypedError, TypedReader};
pub use wal::Wal;

pub use standpipe_log::{Entry, ErrorKind, Log, LogError, LogId, Lsn, Reader, Record, Ticket};
