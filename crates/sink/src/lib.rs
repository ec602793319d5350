#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod acknowledge;
mod builder;
mod commit;
mod dead_letters;
mod dispatch;
mod envelope;
mod error;
mod events;
mod item;
mod no_log;
mod pins;
mod receipt;
mod recover;
mod retention;
mod rows;
mod settings;
mod shared;
mod sink;
mod stream;
mod worker;

pub use builder::SinkBuilder;
pub use dead_letters::DeadLetterStore;
pub use error::SinkError;
pub use events::{Applied, Events};
pub use no_log::NoLog;
pub use receipt::Receipt;
pub use rows::Rows;
pub use settings::{DeadLetters, ErrorLimit, Retry, Settings};
pub use sink::{Closed, Sink};
pub use stream::{Stream, StreamSpec};
