//! PostgreSQL as a target, on a real server: `cargo xtask test`, or `eval "$(cargo xtask services env)"` first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "these are tests"
)]

mod access;
mod adversary;
mod adversary_codes;
mod adversary_places;
mod adversary_text;
mod bad_kinds;
mod bad_rows;
mod bouncer;
mod conformance;
mod dropped;
mod edges;
mod locks;
mod lost;
mod merge_order;
mod merges;
mod outage;
mod parallel;
mod places;
mod proxy;
mod roles;
mod rows;
mod schema;
mod server;
mod two_phase;
mod types;
mod world;
