#![doc = include_str!("../README.md")]
// A mapping of a file is the one thing that cannot be had without; it is in a file of its own.
#![cfg_attr(not(feature = "mmap"), forbid(unsafe_code))]
#![cfg_attr(feature = "mmap", deny(unsafe_code))]

mod birth;
mod bytes;
mod codec;
mod compress;
mod crc_shift;
mod crowd;
mod cursor;
mod dir;
mod disk;
mod dump;
mod extent;
mod frame;
mod group;
mod inspect;
mod lock;
#[cfg_attr(not(feature = "mmap"), path = "unmapped.rs")]
mod mapping;
mod meter;
mod names;
mod open;
mod patient;
mod pen;
mod plan;
#[cfg(not(feature = "planted"))]
mod planted;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
mod queue;
mod read_only;
mod reader;
mod record;
mod recovery;
mod remainder;
mod repair;
mod replay;
mod resync;
mod retention;
mod scan;
mod seal;
mod segment;
mod service;
mod settings;
mod shared;
mod space;
mod supply;
mod ticket;
mod tour;
mod typed;
mod verify;
mod wal;
mod word;

#[cfg(feature = "bincode")]
pub use codec::Bincode;
pub use codec::{Codec, CodecError};
pub use dir::{Dir, DirFile, DirLock};
pub use disk::{BENCH_BYTES_MAX, DiskReport, FileSystem, GroupReport, Stage, Times, measure_disk};
pub use dump::{Dumped, FrameReport, Part, Shown, dump};
pub use inspect::{
    Damage, Inspection, Lost, ReadProgress, SegmentReport, Spare, SpareKind, TailReport, Totals, Watch,
    inspect,
};
pub use open::{Recovery, TornTail};
pub use read_only::{ReadOnlyDir, ReadOnlyFile};
pub use reader::WalReader;
pub use repair::{Identity, RepairSettings, Repaired, repair, repair_dir};
pub use replay::{
    Key, Mark, Progress, Recovering, Replay, ReplayError, Replayed, Transacted, Transaction, Unfinished,
};
pub use retention::{Hold, HoldReport};
pub use settings::{Compression, Durability, Entropy, Settings};
pub use ticket::WalTicket;
pub use typed::{Typed, TypedError, TypedReader};
pub use verify::{Verification, verify, verify_watched};
pub use wal::Wal;

pub use standpipe_log::{Entry, ErrorKind, Log, LogError, LogId, Lsn, Reader, Record, Ticket};
