//! PostgreSQL as a target, on a real server: `cargo xtask test`, or `eval "$(cargo xtask services env)"` first.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "these are tests")]

mod conformance;
mod server;
