use standpipe_buffer::Policy;
use standpipe_harness::{Outcome, Settings};

use super::value::endless;

/// When a lane of a buffer is due.
///
/// # Errors
/// A value that can't be read.
pub fn policy(settings: &Settings) -> Outcome<Policy> {
    policy_over(settings, Policy::default())
}

/// When a lane of a buffer is due, over a workload's own.
///
/// # Errors
/// A value that can't be read.
pub fn policy_over(settings: &Settings, over: Policy) -> Outcome<Policy> {
    Ok(Policy {
        rows_max: settings.get("buffer.rows_max", over.rows_max)?,
        bytes_max: settings.bytes("buffer.bytes_max", over.bytes_max)?,
        age_max: endless(settings, "buffer.age_max", over.age_max)?,
    })
}
