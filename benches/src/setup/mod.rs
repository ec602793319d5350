//! What workloads are made of: settings taken from the command line, rows, sinks into real databases.

use standpipe_harness::Key;

/// Every setting that `--set` takes.
pub const KEYS: &[Key] = &[];
