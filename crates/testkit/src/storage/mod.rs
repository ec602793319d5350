//! A file system in memory that loses power, and wrappers that break a storage on purpose.

mod call;
mod cut;
mod disk;
mod fault;
mod file;
mod mem;
mod planted;
mod sweep;

pub use call::{Call, CallKind};
pub use cut::{Cut, SECTOR_BYTES};
pub use fault::{Fault, PowerGone};
pub use file::MemFile;
pub use mem::{MemLock, MemStorage};
pub use planted::{Planted, PlantedFile, StorageMistake};
