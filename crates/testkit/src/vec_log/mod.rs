//! A log in memory: the smallest that keeps every duty, and the mistakes that break one each.

mod log;
mod mistake;
mod reader;
mod state;
mod store;
mod ticket;

pub use log::VecLog;
pub use mistake::LogMistake;
pub use reader::VecReader;
pub use store::VecStore;
pub use ticket::VecTicket;
