use standpipe_core::TableName;
use standpipe_harness::{Outcome, Settings};
use standpipe_sink::{DeadLetters, ErrorLimit};

use super::value::{endless, optional, parsed};

/// The sink's settings.
///
/// # Errors
/// A value that can't be read.
pub fn sink(settings: &Settings) -> Outcome<standpipe_sink::Settings> {
    sink_over(settings, standpipe_sink::Settings::default())
}

/// The sink's settings over a workload's own.
///
/// # Errors
/// A value that can't be read.
pub fn sink_over(settings: &Settings, over: standpipe_sink::Settings) -> Outcome<standpipe_sink::Settings> {
    Ok(standpipe_sink::Settings {
        memory_bytes: settings.bytes("sink.memory_bytes", over.memory_bytes)?,
        batch_rows_max: settings.get("sink.batch_rows_max", over.batch_rows_max)?,
        batch_bytes_max: settings.bytes("sink.batch_bytes_max", over.batch_bytes_max)?,
        flush_after: endless(settings, "sink.flush_after", over.flush_after)?,
        workers: settings.get("sink.workers", over.workers)?,
        lanes_per_commit: settings.get("sink.lanes_per_commit", over.lanes_per_commit)?,
        block_bytes: settings.bytes("sink.block_bytes", over.block_bytes)?,
        log_retain_bytes: settings.bytes("sink.log_retain_bytes", over.log_retain_bytes)?,
        write_timeout: optional(settings, "sink.write_timeout", over.write_timeout)?,
        retry: standpipe_sink::Retry {
            pause: settings.duration("sink.retry.pause", over.retry.pause)?,
            pause_max: settings.duration("sink.retry.pause_max", over.retry.pause_max)?,
            give_up_after: optional(settings, "sink.retry.give_up_after", over.retry.give_up_after)?,
            seed: settings.get("sink.retry.seed", over.retry.seed)?,
        },
        dead_letters: match settings.text("sink.dead_letters") {
            Some(table) => DeadLetters::Table(TableName::new(table)),
            None => over.dead_letters,
        },
        errors_max: parsed(settings, "sink.errors_max", over.errors_max, error_limit)?,
        owner: settings.get("sink.owner", over.owner)?,
    })
}

fn error_limit(text: &str) -> Result<ErrorLimit, &'static str> {
    let how = "write none, 100 or 5%";
    match text.strip_suffix('%') {
        Some(share) => share.parse().map(ErrorLimit::Percent).map_err(|_| how),
        None if text == "none" => Ok(ErrorLimit::None),
        None => text.parse().map(ErrorLimit::Rows).map_err(|_| how),
    }
}
