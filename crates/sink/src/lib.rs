#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod acknowledge;
mod builder;
mod clock;
mod close;
mod commit;
mod dead_letters;
mod dispatch;
mod envelope;
mod error;
mod events;
mod item;
mod meter;
mod no_log;
mod panicked;
mod pins;
mod receipt;
mod recover;
mod register;
mod retention;
mod retry;
mod rows;
mod running;
mod settings;
mod shared;
mod sink;
mod stream;
mod worker;
mod write;

pub use builder::SinkBuilder;
pub use close::Closed;
pub use dead_letters::DeadLetterStore;
pub use error::SinkError;
pub use events::{Applied, Events};
pub use no_log::NoLog;
pub use receipt::Receipt;
pub use retry::{
    Discarded, LetterFilter, LetterRetry, Retried, RetryStep, discard_dead_letters, retry_dead_letters,
};
pub use rows::Rows;
pub use settings::{DeadLetters, ErrorLimit, Retry, Settings};
pub use sink::Sink;
pub use stream::{Stream, StreamSpec};
