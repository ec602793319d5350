use standpipe_core::Mode;
use standpipe_harness::{Outcome, Settings};

use super::value::parsed;

/// The number of lanes: `stream.lanes`.
///
/// # Errors
/// A value that can't be read.
pub fn lanes(settings: &Settings, default: u32) -> Outcome<u32> {
    settings.get("stream.lanes", default)
}

/// What a row does to one with the same key: `stream.mode`.
///
/// # Errors
/// A value that can't be read.
pub fn mode(settings: &Settings, default: Mode) -> Outcome<Mode> {
    parsed(settings, "stream.mode", default, |text| {
        Mode::from_name(text).ok_or("write append, upsert, replace or ignore")
    })
}
