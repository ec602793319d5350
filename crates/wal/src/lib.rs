#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod birth;
mod bytes;
mod committer;
mod crc_shift;
mod crowd;
mod cursor;
mod dir;
mod disk;
mod dump;
mod extent;
mod frame;
mod inspect;
mod lock;
mod open;
mod patient;
mod plan;
mod queue;
mod read_only;
mod reader;
mod record;
mod recovery;
mod repair;
mod resync;
mod scan;
mod segment;
mod settings;
mod shared;
mod ticket;
mod tour;
mod verify;
mod wal;

pub use dir::{Dir, DirFile, DirLock};
pub use disk::{BENCH_BYTES_MAX, DiskReport, FileSystem, GroupReport, Stage, Times, measure_disk};
pub use dump::{Dumped, FrameReport, Part, Shown, dump};
pub use inspect::{
    Damage, Inspection, Lost, Progress, SegmentReport, Spare, SpareKind, TailReport, Totals, Watch, inspect,
};
pub use open::{Recovery, TornTail};
pub use read_only::{ReadOnlyDir, ReadOnlyFile};
pub use reader::WalReader;
pub use repair::{Identity, RepairSettings, Repaired, repair, repair_dir};
pub use settings::{Durability, Entropy, Settings};
pub use ticket::WalTicket;
pub use verify::{Verification, verify, verify_watched};
pub use wal::Wal;

pub use standpipe_log::{Entry, ErrorKind, Log, LogError, LogId, Lsn, Reader, Record, Ticket};
