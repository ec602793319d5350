#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod address;
mod blame;
mod branch;
mod clock;
mod convert;
mod copy;
mod dead_letters;
mod details;
mod dial;
mod doctor;
mod error;
mod field;
mod holder;
mod json_array;
mod keys;
mod kind;
mod ledger;
mod limit;
mod link;
mod merge;
mod name;
mod participant;
mod passfile;
mod plan;
mod plans;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod postgres;
mod registry;
mod resolve;
mod rows;
mod service;
mod session;
mod settings;
mod sqlstate;
mod stage;
mod table;
mod unnest;
mod url;
mod wire;
mod write;

pub use address::Address;
pub use postgres::Postgres;
pub use settings::Settings;
