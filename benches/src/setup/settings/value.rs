//! Values of kinds that the harness does not know.

use std::time::Duration;

use standpipe_harness::{Outcome, Settings};

/// A duration, or `never`: `Duration::MAX`.
///
/// # Errors
/// A value that can't be read.
pub fn endless(settings: &Settings, key: &str, default: Duration) -> Outcome<Duration> {
    match settings.text(key) {
        Some("never") => Ok(Duration::MAX),
        _ => settings.duration(key, default),
    }
}

pub(super) fn optional(
    settings: &Settings,
    key: &str,
    default: Option<Duration>,
) -> Outcome<Option<Duration>> {
    match settings.text(key) {
        None => Ok(default),
        Some("none" | "never") => Ok(None),
        Some(_) => settings.duration(key, Duration::ZERO).map(Some),
    }
}

pub(super) fn parsed<T>(
    settings: &Settings,
    key: &str,
    default: T,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Outcome<T> {
    match settings.text(key) {
        None => Ok(default),
        Some(text) => read(text).map_err(|how| format!("--set {key}={text}: {how}").into()),
    }
}
