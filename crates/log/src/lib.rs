#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod log;
mod lsn;
mod reader;
mod record;
mod storage;
mod ticket;

pub use error::{ErrorKind, LogError};
pub use log::{Log, LogId};
pub use lsn::Lsn;
pub use reader::{Entry, Reader};
pub use record::Record;
pub use storage::{File, FileExt, Storage};
pub use ticket::Ticket;
