#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bind;
mod branch;
mod commit;
mod dead_letters;
mod dial;
mod doctor;
mod error;
mod filesystem;
mod holder;
mod identity;
mod kind;
mod ledger;
mod link;
mod load;
mod name;
mod plan;
mod registry;
mod reply;
mod resolve;
mod session;
mod settings;
mod sqlite;
mod table;
mod turn;
mod worker;

pub use settings::{Journal, Settings, Synchronous};
pub use sqlite::Sqlite;
