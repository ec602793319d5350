#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod dead_letter_file;
mod url;

pub use dead_letter_file::DeadLetterFile;
#[cfg(feature = "postgres")]
pub use url::PostgresUrl;
pub use url::{TargetUrl, open_target, open_target_within};

pub use standpipe_buffer as buffer;
pub use standpipe_core as core;
pub use standpipe_log as log;
pub use standpipe_pool as pool;
#[cfg(feature = "postgres")]
pub use standpipe_postgres as postgres;
pub use standpipe_row as row;
pub use standpipe_sink as sink;
#[cfg(feature = "sqlite")]
pub use standpipe_sqlite as sqlite;
#[cfg(feature = "wal")]
pub use standpipe_wal as wal;

pub use standpipe_core::{
    Column, Destination, Error, ErrorKind, Guarantee, Mode, Schema, SourceId, StreamId, TableName, Target,
    Type, Window,
};
#[cfg(feature = "postgres")]
pub use standpipe_postgres::Postgres;
pub use standpipe_sink::{LetterFilter, LetterRetry, discard_dead_letters, retry_dead_letters};
pub use standpipe_sink::{Receipt, Rows, Settings, Sink, SinkBuilder, SinkError, Stream, StreamSpec};
#[cfg(feature = "sqlite")]
pub use standpipe_sqlite::Sqlite;
#[cfg(feature = "wal")]
pub use standpipe_wal::Wal;
