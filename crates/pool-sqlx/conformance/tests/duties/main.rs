//! Both ways between standpipe and sqlx: sqlx's own pool, and standpipe's pool over sqlx's connections.
//!
//! `suite` runs the test kit's cases over a database of sqlx that leads nowhere, so that every poll of every step is cancelled
//! once. `sqlite` is a file.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod nowhere;
mod sqlite;
mod suite;
