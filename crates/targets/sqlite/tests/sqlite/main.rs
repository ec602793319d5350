//! What is SQLite's own, beside the duties that every target's suite checks.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod dropping;
mod examined;
mod fencing;
mod files;
mod letters;
mod locks;
mod modes;
mod rejects;
mod tables;
mod values;
mod world;
